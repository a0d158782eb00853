/*
 * The virt machine's SMMUv3 with one page table
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_VFIO_CXL_SMMU_H
#define TESTS_VFIO_CXL_SMMU_H

#include "libqtest.h"

/* Each entry translates one GiB of bus addresses */
#define SMMU_PAGE (1ull << 30)

/**
 * smmu_enable: switch translation on, with a table in which nothing is mapped
 * @stream: requester ID of the device, bus << 8 | devfn
 * @mem: guest memory for tables, 1 MiB aligned; 1 MiB of it is used
 */
void smmu_enable(QTestState *q, unsigned int stream, uint64_t mem);

/**
 * smmu_map: let bus address @iova lead to @pa, both multiples of SMMU_PAGE
 * @mem: as given to smmu_enable()
 */
void smmu_map(QTestState *q, uint64_t mem, uint64_t iova, uint64_t pa,
              bool writable);
void smmu_unmap(QTestState *q, uint64_t mem, uint64_t iova);

#endif /* TESTS_VFIO_CXL_SMMU_H */
