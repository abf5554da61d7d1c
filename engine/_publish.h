/* Making a record visible: its length is stored after everything else in it, whatever the compiler would prefer. */
#ifndef MICROBURST_PUBLISH_H
#define MICROBURST_PUBLISH_H

#include <stdint.h>

#if defined(_MSC_VER)
#include <intrin.h>
static inline void publish_u32(void *where, uint32_t value)
{
    _ReadWriteBarrier();
    *(volatile uint32_t *)where = value;
}
#else
static inline void publish_u32(void *where, uint32_t value)
{
    __atomic_store_n((uint32_t *)where, value, __ATOMIC_RELEASE);
}
#endif

#endif
