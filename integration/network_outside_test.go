// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// The servers of the world outside and, as probe serve, of a container. Each port has one habit.
const (
	echoPort   = 7
	httpPort   = 80
	bannerPort = 81
	resetPort  = 82
	halfPort   = 83
	bulkPort   = 84
	dialPort   = 85
	tlsPort    = 443
)

// The addresses that integration/network gives the world and the host.
const (
	worldA, worldA6  = "198.51.100.7", "2001:db8::7" // allowed.test
	worldB, worldB6  = "203.0.113.9", "2001:db8::9"  // denied.test
	resolver1        = "198.51.100.53"
	resolver2        = "203.0.113.53"
	localResolver    = "127.0.0.53"
	hostAddress      = "10.9.0.254"
	hostAddress6     = "fd09::fe"
	worldGateway     = "10.9.0.1"
	metadataAddress  = "169.254.169.254"
	metadataAddress6 = "fd00:ec2::254"
	outsideBanner    = "outside"
)

// outside is what the test binary does as a program of that name: the servers of the world, or the host's resolver.
func outside(args []string) int {
	switch args[0] {
	case "world":
		for _, address := range []string{worldGateway, worldA, worldB, "fd09::1", worldA6, worldB6, metadataAddress, metadataAddress6} {
			// A reply has to come from the address that was asked.
			serveUDP(address)
		}
		for _, address := range []string{resolver1, resolver2} {
			go serveDNS(address)
		}
		serveTCP(outsideBanner, func() {})
	case "host":
		go serveDNS(localResolver)
		os.NewFile(3, "ready").WriteString("serves\n")
		select {}
	case "wait":
		// Until the world answers.
		for range 1000 {
			if conn, err := net.Dial("tcp", join(worldA, echoPort)); err == nil {
				conn.Close()
				return 0
			}
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Fprintln(os.Stderr, "the world does not answer")
	}
	return 1
}

func join(address string, port int) string { return net.JoinHostPort(address, strconv.Itoa(port)) }

// serveTCP serves every habit but names, on all addresses, and says when it is ready.
func serveTCP(banner string, ready func()) {
	certificate := selfSigned()
	habits := map[int]func(c *net.TCPConn){
		echoPort:   func(c *net.TCPConn) { io.Copy(c, c) },
		bannerPort: func(c *net.TCPConn) { fmt.Fprintf(c, "%s for %s\n", banner, c.RemoteAddr()) },
		resetPort: func(c *net.TCPConn) {
			c.Read(make([]byte, 1))
			c.SetLinger(0)
		},
		halfPort: serveHalf,
		bulkPort: serveBulk,
		dialPort: serveDial,
		tlsPort: func(c *net.TCPConn) {
			conn := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}})
			fmt.Fprintf(conn, "%s\n", banner)
			conn.Close()
		},
	}
	listen := func(port int) net.Listener {
		l, err := net.Listen("tcp", fmt.Sprint(":", port))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return l
	}
	for port, habit := range habits {
		l := listen(port)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					habit(c.(*net.TCPConn))
				}()
			}
		}()
	}
	l := listen(httpPort)
	ready()
	err := http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s page of %s\n", banner, r.Host)
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// serveHalf answers only when the other side has ended its half.
func serveHalf(c *net.TCPConn) {
	hash := sha256.New()
	n, err := io.Copy(hash, c)
	if err == nil {
		fmt.Fprintf(c, "%d %x\n", n, hash.Sum(nil))
	}
}

// serveBulk sends or takes as many bytes as the first line says. The sum follows what was sent, or answers it.
func serveBulk(c *net.TCPConn) {
	reader := bufio.NewReaderSize(c, 1<<18)
	line, err := reader.ReadString('\n')
	words := strings.Fields(line)
	if err != nil || len(words) != 2 {
		return
	}
	n, _ := strconv.ParseInt(words[1], 10, 64)
	if words[0] == "down" {
		sum, err := sendBulk(c, n)
		if err == nil {
			c.Write(sum)
		}
		return
	}
	hash := sha256.New()
	if _, err := io.CopyN(hash, reader, n); err == nil {
		c.Write(hash.Sum(nil))
	}
}

// sendBulk sends n bytes that do not repeat and gives their sum.
func sendBulk(w io.Writer, n int64) ([]byte, error) {
	var seed [32]byte
	rand.Read(seed[:])
	hash := sha256.New()
	_, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w, hash)},
		io.LimitReader(mathrand.NewChaCha8(seed), n), make([]byte, 1<<18))
	return hash.Sum(nil), err
}

// serveDial connects to the address of the first line and says what it reads there.
func serveDial(c *net.TCPConn) {
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return
	}
	network, address, _ := strings.Cut(strings.TrimSpace(line), " ")
	if err := talk(network, address, 32); err != nil {
		fmt.Fprintln(c, err)
		return
	}
	fmt.Fprintln(c, "ok")
}

// serveUDP echoes.
func serveUDP(address string) {
	conn, err := net.ListenPacket("udp", join(address, echoPort))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFrom(buffer)
			if err == nil {
				conn.WriteTo(buffer[:n], from)
			}
		}
	}()
}

// talk sends bytes to a server that echoes, and wants them back.
func talk(network, address string, size int) error {
	conn, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	sent, got := make([]byte, size), make([]byte, size)
	rand.Read(sent)
	tries := 1
	if network == "udp" {
		tries = 5 // a datagram may get lost
	}
	for range tries {
		conn.SetDeadline(time.Now().Add(10 * time.Second / time.Duration(tries)))
		if _, err = conn.Write(sent); err != nil {
			continue
		}
		if _, err = io.ReadFull(conn, got); err == nil && string(got) != string(sent) {
			err = fmt.Errorf("other bytes came back")
		}
		if err == nil {
			return nil
		}
	}
	return err
}

func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{certificate}, PrivateKey: key}
}
