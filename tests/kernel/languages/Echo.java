// SPDX-License-Identifier: GPL-2.0-or-later
// Java: see languages_test.cpp.
//
//     Echo http PORT SECONDS CONNECTIONS             java.net.http.HttpClient: sends bodies and compares what comes back
//     Echo select PORT                               NIO, Selector: sends all it gets back
//     Echo block PORT TIMEOUT                        ServerSocket and Socket: the same; setSoTimeout(TIMEOUT)
//     Echo ask PORT SECONDS CONNECTIONS TIMEOUT      Socket: sends and compares what comes back
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;

class Echo {
    static final AtomicLong count = new AtomicLong(), bytes = new AtomicLong();

    interface Exchange {
        byte[] send(byte[] body) throws Exception;
    }

    static byte[] body(Random random) {
        byte[] body = new byte[1 + random.nextInt(1 << random.nextInt(22))];
        random.nextBytes(body);
        return body;
    }

    static void ask(long end, int seed, Exchange exchange) throws Exception {
        Random random = new Random(seed);
        while (System.nanoTime() < end) {
            byte[] body = body(random);
            if (!Arrays.equals(exchange.send(body), body))
                throw new IOException("a body of " + body.length + " bytes comes back as another one");
            count.incrementAndGet();
            bytes.addAndGet(body.length);
        }
    }

    static Void http(int port, long end, int seed) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        URI uri = URI.create("http://127.0.0.1:" + port + "/echo");
        ask(end, seed, body -> client.send(
            HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(10))
                .POST(HttpRequest.BodyPublishers.ofByteArray(body)).build(),
            HttpResponse.BodyHandlers.ofByteArray()).body());
        return null;
    }

    // Sends from another thread: an echo comes while more is on its way.
    static Void socket(int port, long end, int seed, int timeout) throws Exception {
        ExecutorService sender = Executors.newSingleThreadExecutor();
        try (Socket socket = new Socket("127.0.0.1", port)) {
            socket.setSoTimeout(timeout);
            ask(end, seed, body -> {
                Future<Void> sent = sender.submit(() -> {
                    socket.getOutputStream().write(body);
                    return null;
                });
                byte[] back = socket.getInputStream().readNBytes(body.length);
                sent.get();
                return back;
            });
        } finally {
            sender.shutdown();
        }
        return null;
    }

    static void select(int port) throws IOException {
        Selector selector = Selector.open();
        ServerSocketChannel server = ServerSocketChannel.open();
        server.bind(new InetSocketAddress("127.0.0.1", port));
        server.configureBlocking(false).register(selector, SelectionKey.OP_ACCEPT);
        for (;;) {
            selector.select(key -> {
                try {
                    if (key.isAcceptable())
                        server.accept().configureBlocking(false)
                            .register(selector, SelectionKey.OP_READ, ByteBuffer.allocateDirect(1 << 16));
                    else
                        pass((SocketChannel) key.channel(), key);
                } catch (IOException error) {
                    key.cancel();
                }
            });
        }
    }

    static void pass(SocketChannel channel, SelectionKey key) throws IOException {
        ByteBuffer buffer = (ByteBuffer) key.attachment();
        if (key.isReadable() && channel.read(buffer) < 0) {
            channel.close();
            return;
        }
        buffer.flip();
        channel.write(buffer);
        buffer.compact();
        key.interestOps((buffer.hasRemaining() ? SelectionKey.OP_READ : 0)
                        | (buffer.position() > 0 ? SelectionKey.OP_WRITE : 0));
    }

    static void block(int port, int timeout) throws IOException {
        ServerSocket server = new ServerSocket(port, 50, InetAddress.getByName("127.0.0.1"));
        for (;;) {
            Socket socket = server.accept();
            socket.setSoTimeout(timeout);
            new Thread(() -> {
                try (socket) {
                    socket.getInputStream().transferTo(socket.getOutputStream());
                } catch (IOException error) {
                    System.err.println(error);
                }
            }).start();
        }
    }

    public static void main(String[] words) throws Exception {
        int port = Integer.parseInt(words[1]);
        if (words[0].equals("select"))
            select(port);
        if (words[0].equals("block"))
            block(port, Integer.parseInt(words[2]));
        long end = System.nanoTime() + (long) (1e9 * Double.parseDouble(words[2]));
        ExecutorService threads = Executors.newCachedThreadPool();
        List<Future<Void>> clients = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(words[3]); ++i) {
            int seed = i;
            clients.add(threads.submit(() -> words[0].equals("http")
                                                 ? http(port, end, seed)
                                                 : socket(port, end, seed, Integer.parseInt(words[4]))));
        }
        for (Future<Void> client : clients)
            client.get();
        System.out.println("right: " + count + " answers, " + bytes + " bytes");
        System.exit(0);
    }
}
