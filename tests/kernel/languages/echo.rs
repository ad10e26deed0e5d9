// SPDX-License-Identifier: GPL-2.0-or-later
// Rust with tokio: see languages_test.cpp.
//
//     echo-rs serve PORT                           sends back each message: its length, 4 bytes, then it
//     echo-rs ask PORT SECONDS CONNECTIONS         sends messages and compares what comes back
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

async fn message(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut bytes = vec![0; stream.read_u32().await? as usize];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    stream.write_all(&(bytes.len() as u32).to_be_bytes()).await?;
    Ok(stream.write_all(bytes).await?)
}

async fn answer(mut stream: TcpStream) -> Result<()> {
    loop {
        let bytes = message(&mut stream).await?;
        send(&mut stream, &bytes).await?;
    }
}

async fn serve(port: u16) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        tokio::spawn(answer(listener.accept().await?.0));
    }
}

// xorshift: the sizes from 1 B to 2 MiB, and what is in them.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

async fn ask(port: u16, end: Instant, mut seed: u64) -> Result<(u64, u64)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut count, mut bytes) = (0, 0);
    while Instant::now() < end {
        let size = 1 + next(&mut seed) as usize % (1 << (next(&mut seed) % 22));
        let mut body = Vec::with_capacity(size + 8);
        while body.len() < size {
            body.extend_from_slice(&next(&mut seed).to_ne_bytes());
        }
        body.truncate(size);
        send(&mut stream, &body).await?;
        let back = tokio::time::timeout(Duration::from_secs(10), message(&mut stream)).await??;
        if back != body {
            return Err(format!("a message of {} bytes comes back as another one", size).into());
        }
        count += 1;
        bytes += size as u64;
    }
    Ok((count, bytes))
}

async fn run(arguments: &[String]) -> Result<()> {
    let port = arguments[1].parse()?;
    if arguments[0] == "serve" {
        return serve(port).await;
    }
    let end = Instant::now() + Duration::from_secs_f64(arguments[2].parse()?);
    let tasks: Vec<_> = (0..arguments[3].parse()?)
        .map(|number: u64| tokio::spawn(ask(port, end, number + 1)))
        .collect();
    let (mut count, mut bytes) = (0, 0);
    for task in tasks {
        let (its_count, its_bytes) = task.await??;
        count += its_count;
        bytes += its_bytes;
    }
    println!("right: {} answers, {} bytes", count, bytes);
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    tokio::runtime::Runtime::new()?.block_on(run(&arguments))
}
