// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// worldAddress is one that integration/network gives the world.
const worldAddress = "198.51.100.7:5201"

// now is the same clock in every process, in nanoseconds.
func now() int64 {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// outside is the server of the world. Its other words are those of integration/network.
func outside(args []string) int {
	switch args[0] {
	case "host":
		os.NewFile(3, "ready").WriteString("serves\n")
		unix.Pause()
	case "wait":
		for range 1000 {
			if c, err := net.Dial("tcp", worldAddress); err == nil {
				c.Close()
				return 0
			}
			time.Sleep(10 * time.Millisecond)
		}
		return 1
	}
	l, err := net.Listen("tcp", ":5201")
	for err == nil {
		var c net.Conn
		if c, err = l.Accept(); err == nil {
			go serve(c)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// serve does what the first byte says.
func serve(c net.Conn) {
	defer c.Close()
	buffer := make([]byte, 1<<18)
	if _, err := c.Read(buffer[:1]); err != nil {
		return
	}
	switch buffer[0] {
	case 'u': // takes, and says how much
		var sum uint64
		for {
			n, err := c.Read(buffer)
			sum += uint64(n)
			if err != nil {
				break
			}
		}
		c.Write(binary.BigEndian.AppendUint64(nil, sum))
	case 'd': // sends until nobody takes it
		for {
			if _, err := c.Write(buffer); err != nil {
				return
			}
		}
	case 'e': // echoes
		for {
			n, err := c.Read(buffer)
			if err != nil {
				return
			}
			c.Write(buffer[:n])
		}
	}
}

// client measures inside and prints numbers.
func client(args []string) error {
	begin := now()
	switch args[0] {
	case "stamp":
		fmt.Println(begin)
		return nil
	case "first":
		c, err := dial(args[1], "d")
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return err
		}
		fmt.Println(begin, now())
		return nil
	case "held": // for a network that is made while this waits
		if _, err := os.Stdin.Read(make([]byte, 1)); err != nil && err != io.EOF {
			return err
		}
		return client(args[1:])
	case "transfer":
		span, err := time.ParseDuration(args[2])
		if err != nil {
			return err
		}
		up, err := up(args[1], span)
		if err != nil {
			return err
		}
		down, err := down(args[1], span)
		if err != nil {
			return err
		}
		trip, err := trip(args[1])
		fmt.Println(up, down, trip)
		return err
	}
	return fmt.Errorf("no client %s", args[0])
}

// dial gives up sooner than the kernel.
func dial(address, word string) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return nil, err
	}
	_, err = c.Write([]byte(word))
	return c.(*net.TCPConn), err
}

// up is in bytes for each second.
func up(address string, span time.Duration) (float64, error) {
	c, err := dial(address, "u")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buffer := make([]byte, 1<<18)
	begin := time.Now()
	for time.Since(begin) < span {
		if _, err := c.Write(buffer); err != nil {
			return 0, err
		}
	}
	if err := c.CloseWrite(); err != nil {
		return 0, err
	}
	var sum [8]byte
	_, err = io.ReadFull(c, sum[:])
	return float64(binary.BigEndian.Uint64(sum[:])) / time.Since(begin).Seconds(), err
}

func down(address string, span time.Duration) (float64, error) {
	c, err := dial(address, "d")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buffer, sum := make([]byte, 1<<18), 0
	begin := time.Now()
	for time.Since(begin) < span {
		n, err := c.Read(buffer)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return float64(sum) / time.Since(begin).Seconds(), nil
}

// trip is the median of a byte's way there and back, in microseconds.
func trip(address string) (float64, error) {
	c, err := dial(address, "e")
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var all []float64
	for range 1000 {
		begin := time.Now()
		if _, err := c.Write([]byte("x")); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			return 0, err
		}
		all = append(all, float64(time.Since(begin))/1e3)
	}
	slices.Sort(all)
	return all[len(all)/2], nil
}
