"""Instances as libvirt domains: QEMU with KVM where it works, with software emulation elsewhere."""
