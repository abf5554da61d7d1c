/* BLAKE2b (RFC 7693) with a digest of 16 bytes and no key. Python has it, too, and its state cannot be kept: here it is
 * plain memory, so that a hash over a session's decisions goes on where a snapshot of them was taken. */
#ifndef MICROBURST_BLAKE2B_H
#define MICROBURST_BLAKE2B_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BLAKE2B_DIGEST 16

typedef struct {
    uint64_t h[8];
    uint64_t count;     /* bytes that are in h */
    uint64_t waiting;   /* bytes in the block that is not full yet, or full and may be the last */
    uint8_t block[128];
} blake2b_state;

static const uint64_t blake2b_iv[8] = {
    UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b),
    UINT64_C(0xa54ff53a5f1d36f1), UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
    UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179),
};

static const uint8_t blake2b_sigma[12][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

static uint64_t blake2b_turned(uint64_t word, int bits)
{
    return word >> bits | word << (64 - bits);
}

static void blake2b_mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y)
{
    v[a] += v[b] + x;
    v[d] = blake2b_turned(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = blake2b_turned(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = blake2b_turned(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = blake2b_turned(v[b] ^ v[c], 63);
}

static void blake2b_compress(blake2b_state *it, int last)
{
    uint64_t v[16], m[16];
    const uint8_t *s;
    int i;
    memcpy(m, it->block, sizeof(m)); /* little-endian, as everything that the journal writes */
    memcpy(v, it->h, sizeof(it->h));
    memcpy(v + 8, blake2b_iv, sizeof(blake2b_iv));
    v[12] ^= it->count;
    v[14] ^= last ? ~UINT64_C(0) : 0;
    for (i = 0; i < 12; i++) {
        s = blake2b_sigma[i];
        blake2b_mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        blake2b_mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        blake2b_mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        blake2b_mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        blake2b_mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        blake2b_mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        blake2b_mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        blake2b_mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (i = 0; i < 8; i++)
        it->h[i] ^= v[i] ^ v[i + 8];
}

static void blake2b_begin(blake2b_state *it)
{
    memset(it, 0, sizeof(*it));
    memcpy(it->h, blake2b_iv, sizeof(blake2b_iv));
    it->h[0] ^= UINT64_C(0x01010000) ^ BLAKE2B_DIGEST;
}

static void blake2b_add(blake2b_state *it, const uint8_t *data, size_t count)
{
    size_t room;
    while (count) {
        if (it->waiting == sizeof(it->block)) { /* more follows, so it is not the last */
            it->count += it->waiting;
            blake2b_compress(it, 0);
            it->waiting = 0;
        }
        room = sizeof(it->block) - (size_t)it->waiting;
        if (room > count)
            room = count;
        memcpy(it->block + it->waiting, data, room);
        it->waiting += room;
        data += room;
        count -= room;
    }
}

static void blake2b_end(const blake2b_state *it, uint8_t *digest)
{
    blake2b_state last = *it;
    memset(last.block + last.waiting, 0, sizeof(last.block) - (size_t)last.waiting);
    last.count += last.waiting;
    blake2b_compress(&last, 1);
    memcpy(digest, last.h, BLAKE2B_DIGEST);
}

#endif
