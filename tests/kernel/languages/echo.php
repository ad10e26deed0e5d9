<?php
// SPDX-License-Identifier: GPL-2.0-or-later
// PHP-FPM: see languages_test.cpp. Sends the body back.
$body = file_get_contents('php://input');
header('Content-Length: ' . strlen($body));
echo $body;
