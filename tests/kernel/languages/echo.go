// SPDX-License-Identifier: GPL-2.0-or-later

// Go: see languages_test.cpp.
//
//	echo-go serve PORT                         net/http: sends bodies back; for GET /SIZE, one with its SHA-256
//	echo-go ask PORT SECONDS CONNECTIONS       net/http: sends bodies and compares what comes back
//	echo-go get PORT SECONDS CONNECTIONS       net/http: gets bodies and sums them up
//	echo-go reverse PORT TO                    net/http/httputil.ReverseProxy
//	echo-go copy PORT TO                       io.Copy from connection to connection: splice(2)
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"time"
)

func sum(body []byte) string { return fmt.Sprintf("%x", sha256.Sum256(body)) }

func echo(answer http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if request.Method == http.MethodGet {
		size, _ := strconv.Atoi(request.URL.Path[1:])
		body = make([]byte, size)
		rand.Read(body)
		answer.Header().Set("Sum", sum(body))
	}
	if err != nil {
		log.Fatal("read a request: ", err)
	}
	answer.Header().Set("Content-Length", strconv.Itoa(len(body)))
	answer.Write(body)
}

// One exchange; the bytes that came.
func post(client *http.Client, server string, random *rand.Rand, size int) int {
	body := make([]byte, size)
	random.Read(body)
	answer, err := client.Post(server+"/echo", "a/b", bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	back, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || !bytes.Equal(body, back) {
		log.Fatalf("a body of %d bytes comes back as another one: %v", size, err)
	}
	return size
}

func get(client *http.Client, server string, _ *rand.Rand, size int) int {
	answer, err := client.Get(server + "/" + strconv.Itoa(size))
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || len(body) != size || sum(body) != answer.Header.Get("Sum") {
		log.Fatalf("a body of %d bytes arrives as another one: %v", size, err)
	}
	return size
}

type exchange func(client *http.Client, server string, random *rand.Rand, size int) int
type result struct{ count, bytes int }

func use(once exchange, port string, end time.Time, seed int64) result {
	client := http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	random := rand.New(rand.NewSource(seed))
	var sum result
	for time.Now().Before(end) {
		sum.bytes += once(&client, "http://127.0.0.1:"+port, random, 1+random.Intn(1<<random.Intn(22)))
		sum.count++
	}
	return sum
}

func useAll(once exchange, port string, seconds float64, connections int) {
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	results := make(chan result)
	for i := 0; i < connections; i++ {
		go func(seed int64) { results <- use(once, port, end, seed) }(int64(i))
	}
	var sum result
	for i := 0; i < connections; i++ {
		one := <-results
		sum.count += one.count
		sum.bytes += one.bytes
	}
	fmt.Printf("right: %d answers, %d bytes\n", sum.count, sum.bytes)
}

func copyAll(to, from *net.TCPConn) {
	io.Copy(to, from)
	to.CloseWrite()
}

func copyConnections(address, target string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		server, err := net.Dial("tcp", target)
		if err != nil {
			return err
		}
		go copyAll(server.(*net.TCPConn), client.(*net.TCPConn))
		go copyAll(client.(*net.TCPConn), server.(*net.TCPConn))
	}
}

func main() {
	address := "127.0.0.1:" + os.Args[2]
	switch os.Args[1] {
	case "serve":
		log.Fatal(http.ListenAndServe(address, http.HandlerFunc(echo)))
	case "ask", "get":
		seconds, _ := strconv.ParseFloat(os.Args[3], 64)
		connections, _ := strconv.Atoi(os.Args[4])
		once := map[string]exchange{"ask": post, "get": get}[os.Args[1]]
		useAll(once, os.Args[2], seconds, connections)
	case "reverse":
		target := &url.URL{Scheme: "http", Host: "127.0.0.1:" + os.Args[3]}
		log.Fatal(http.ListenAndServe(address, httputil.NewSingleHostReverseProxy(target)))
	case "copy":
		log.Fatal(copyConnections(address, "127.0.0.1:"+os.Args[3]))
	}
}
