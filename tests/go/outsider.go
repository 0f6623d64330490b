// Reads a log that was saved as it is served, with the packages note and tlog of golang.org/x/mod, and nothing of ours.
//
// Arguments: a folder, and the log's verifier key. The folder holds the files of C2SP tlog-tiles under their paths,
// checkpoint.old and checkpoint, and N.tlog-proof files. Prints what it found, or says what is wrong and ends with 1.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

// checkpoint opens a signed note and reads its three lines.
func checkpoint(raw []byte, verifier note.Verifier) tlog.Tree {
	opened, err := note.Open(raw, note.VerifierList(verifier))
	check(err, "note")
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		check(fmt.Errorf("%q", opened.Text), "checkpoint")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err, "size")
	hash, err := tlog.ParseHash(lines[2])
	check(err, "root")
	return tlog.Tree{N: size, Hash: hash}
}

// tiles reads tiles of hashes: without the height in their path, the full one where the partial one is not there.
type tiles struct{ folder string }

func (t tiles) Height() int { return height }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/", height), "tile/", 1)
		raw, err := os.ReadFile(filepath.Join(t.folder, path))
		if err != nil {
			path, _, _ = strings.Cut(path, ".p/")
			if raw, err = os.ReadFile(filepath.Join(t.folder, path)); err != nil {
				return nil, err
			}
			raw = raw[:tile.W*tlog.HashSize]
		}
		found = append(found, raw)
	}
	return found, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// entries reads every entry bundle.
func entries(folder string, size int64) [][]byte {
	var found [][]byte
	for n := int64(0); n*256 < size; n++ {
		tile := tlog.Tile{H: height, L: -1, N: n, W: int(min(256, size-n*256))}
		path := strings.Replace(tile.Path(), fmt.Sprintf("tile/%d/data/", height), "tile/entries/", 1)
		raw, err := os.ReadFile(filepath.Join(folder, path))
		check(err, "bundle")
		for len(raw) > 0 {
			length := int(binary.BigEndian.Uint16(raw))
			found = append(found, raw[2:2+length])
			raw = raw[2+length:]
		}
	}
	return found
}

// proof reads a tlog-proof file.
func proof(raw []byte) (index int64, hashes tlog.RecordProof, signed []byte) {
	head, signed, _ := bytes.Cut(raw, []byte("\n\n"))
	lines := bufio.NewScanner(bytes.NewReader(head))
	for number := 0; lines.Scan(); number++ {
		switch {
		case number == 0 && lines.Text() != "c2sp.org/tlog-proof@v1":
			check(fmt.Errorf("%q", lines.Text()), "proof")
		case number == 1:
			var err error
			index, err = strconv.ParseInt(strings.TrimPrefix(lines.Text(), "index "), 10, 64)
			check(err, "index")
		case number > 1:
			hash, err := base64.StdEncoding.DecodeString(lines.Text())
			check(err, "hash")
			hashes = append(hashes, tlog.Hash(hash))
		}
	}
	return index, hashes, signed
}

func main() {
	folder := os.Args[1]
	verifier, err := note.NewVerifier(os.Args[2])
	check(err, "key")
	read := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join(folder, name))
		check(err, name)
		return raw
	}
	older, newer := checkpoint(read("checkpoint.old"), verifier), checkpoint(read("checkpoint"), verifier)
	reader := tlog.TileHashReader(newer, tiles{folder})
	leaves := entries(folder, newer.N)
	if int64(len(leaves)) != newer.N {
		check(fmt.Errorf("%d", len(leaves)), "entries")
	}
	for index, leaf := range leaves {
		hashes, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(index))})
		check(err, "leaf")
		if hashes[0] != tlog.RecordHash(leaf) {
			check(fmt.Errorf("%d", index), "leaf")
		}
	}
	root, err := tlog.TreeHash(newer.N, reader)
	check(err, "tree")
	if root != newer.Hash {
		check(fmt.Errorf("%v", root), "root")
	}
	growth, err := tlog.ProveTree(newer.N, older.N, reader)
	check(err, "growth")
	check(tlog.CheckTree(growth, newer.N, newer.Hash, older.N, older.Hash), "growth")
	papers, err := filepath.Glob(filepath.Join(folder, "*.tlog-proof"))
	check(err, "proofs")
	for _, name := range papers {
		raw, err := os.ReadFile(name)
		check(err, name)
		index, hashes, signed := proof(raw)
		tree := checkpoint(signed, verifier)
		check(tlog.CheckRecord(hashes, tree.N, tree.Hash, index, tlog.RecordHash(leaves[index])), name)
	}
	fmt.Printf("%d entries, grown from %d, %d proofs\n", newer.N, older.N, len(papers))
}
