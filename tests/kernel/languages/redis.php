<?php
// SPDX-License-Identifier: GPL-2.0-or-later
// PHP with phpredis: see languages_test.cpp. redis.php PORT SECONDS: sets values and compares what comes back.
$redis = new Redis();
$redis->connect('127.0.0.1', (int) $argv[1], 10.0);
$end = microtime(true) + (float) $argv[2];
$count = $bytes = 0;
while (microtime(true) < $end) {
    $value = random_bytes(random_int(1, 1 << random_int(0, 19)));
    $redis->set('key', $value);
    if ($redis->get('key') !== $value) {
        fwrite(STDERR, 'a value of ' . strlen($value) . " bytes comes back as another one\n");
        exit(1);
    }
    ++$count;
    $bytes += strlen($value);
}
echo "right: $count answers, $bytes bytes\n";
