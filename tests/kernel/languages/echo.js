// SPDX-License-Identifier: GPL-2.0-or-later
// Node: see languages_test.cpp.
//
//     echo.js serve PORT                      node:http: sends bodies back
//     echo.js ask PORT SECONDS CONNECTIONS    node:http: sends bodies and compares what comes back
'use strict';
const crypto = require('crypto');
const http = require('http');

async function read(stream) {
    const pieces = [];
    for await (const piece of stream)
        pieces.push(piece);
    return Buffer.concat(pieces);
}

async function echo(request, answer) {
    const body = await read(request);
    answer.setHeader('Content-Length', body.length);
    answer.end(body);
}

function post(agent, port, body) {
    return new Promise((resolve, reject) => {
        const request = http.request(
            {agent, host: '127.0.0.1', port, path: '/echo', method: 'POST', timeout: 10000,
             headers: {'Content-Length': body.length}},
            (answer) => read(answer).then(resolve, reject));
        request.on('error', reject);
        request.on('timeout', () => request.destroy(new Error('no answer for 10 seconds')));
        request.end(body);
    });
}

async function ask(port, end) {
    const agent = new http.Agent({keepAlive: true, maxSockets: 1});
    let count = 0, bytes = 0;
    while (Date.now() < end) {
        const body = crypto.randomBytes(Math.ceil(2 ** (21 * Math.random())));
        const back = await post(agent, port, body);
        if (!back.equals(body))
            throw new Error(`a body of ${body.length} bytes comes back as another one`);
        ++count;
        bytes += body.length;
    }
    agent.destroy();
    return [count, bytes];
}

async function main(what, port, seconds, connections) {
    if (what === 'serve')
        return void http.createServer(echo).listen(port, '127.0.0.1');
    const end = Date.now() + 1000 * seconds;
    const all = await Promise.all(Array.from({length: connections}, () => ask(port, end)));
    const sum = (index) => all.reduce((total, one) => total + one[index], 0);
    console.log(`right: ${sum(0)} answers, ${sum(1)} bytes`);
}

const [what, ...numbers] = process.argv.slice(2);
main(what, ...numbers.map(Number));
