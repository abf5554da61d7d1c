/* CRC-32C (Castagnoli; RFC 3720, appendix B.4): by table everywhere, by the processor's own instruction where it has
 * one. Both give the same number; which of them runs is found out once, when the module is loaded. */
#ifndef MICROBURST_CRC32C_H
#define MICROBURST_CRC32C_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static uint32_t crc32c_table[8][256];

static uint32_t crc32c_by_table(uint32_t crc, const uint8_t *data, size_t count)
{
    uint32_t low, high;
    crc = ~crc;
    for (; count >= 8; data += 8, count -= 8) {
        memcpy(&low, data, 4);
        memcpy(&high, data + 4, 4);
        low ^= crc;
        crc = crc32c_table[7][low & 0xFF] ^ crc32c_table[6][(low >> 8) & 0xFF]
            ^ crc32c_table[5][(low >> 16) & 0xFF] ^ crc32c_table[4][low >> 24]
            ^ crc32c_table[3][high & 0xFF] ^ crc32c_table[2][(high >> 8) & 0xFF]
            ^ crc32c_table[1][(high >> 16) & 0xFF] ^ crc32c_table[0][high >> 24];
    }
    for (; count; data++, count--)
        crc = (crc >> 8) ^ crc32c_table[0][(crc ^ *data) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("sse4.2")))
static uint32_t crc32c_by_instruction(uint32_t start, const uint8_t *data, size_t count)
{
    uint64_t word, crc = (uint32_t)~start;
    for (; count >= 8; data += 8, count -= 8) {
        memcpy(&word, data, 8);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    for (; count; data++, count--)
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *data);
    return ~(uint32_t)crc;
}

static int crc32c_has_instruction(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") != 0;
}
#else
#define crc32c_by_instruction crc32c_by_table
static int crc32c_has_instruction(void) { return 0; }
#endif

static uint32_t (*crc32c_extend)(uint32_t, const uint8_t *, size_t) = crc32c_by_table;

/* Must run before the first checksum is taken. */
static void crc32c_begin(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (crc & 1 ? 0x82F63B78u : 0);
        crc32c_table[0][i] = crc;
    }
    for (int i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            crc32c_table[k][i] = (crc32c_table[k - 1][i] >> 8) ^ crc32c_table[0][crc32c_table[k - 1][i] & 0xFF];
    if (crc32c_has_instruction())
        crc32c_extend = crc32c_by_instruction;
}

#endif
