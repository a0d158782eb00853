/*
 * Memory of the guest that KVM cannot reach
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSTEM_KVM_FAULT_H
#define SYSTEM_KVM_FAULT_H

/**
 * kvm_set_fault_handler: have a say before the VM stops
 * @handler: called with the BQL held, in the thread of the vCPU, when a run
 *           ends with EFAULT: the kernel could not reach memory of the guest,
 *           and does not tell which.  True: the cause was found and removed,
 *           run the vCPU again.
 */
void kvm_set_fault_handler(bool (*handler)(void));

#endif /* SYSTEM_KVM_FAULT_H */
