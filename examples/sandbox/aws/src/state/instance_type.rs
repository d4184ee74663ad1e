//! Types of instances: what AWS documents of the usual ones.

/// A type of instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceType {
    /// Such as `m5.large`.
    pub name: &'static str,
    /// Virtual processors.
    pub vcpus: u16,
    /// Memory in MiB.
    pub memory: u32,
    /// Network interfaces that it can have.
    pub interfaces: usize,
    /// IPv4 addresses that each of them can have.
    pub ipv4_addresses: usize,
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
    /// Whether it works with CPU credits.
    pub burstable: bool,
}

const fn kind(
    name: &'static str,
    vcpus: u16,
    memory: u32,
    interfaces: usize,
    ipv4_addresses: usize,
) -> InstanceType {
    let bytes = name.as_bytes();
    InstanceType {
        name,
        vcpus,
        memory,
        interfaces,
        ipv4_addresses,
        architecture: "x86_64",
        burstable: bytes[0] == b't',
    }
}

const fn arm(base: InstanceType) -> InstanceType {
    InstanceType {
        architecture: "arm64",
        ..base
    }
}

/// The usual types.
pub const TYPES: &[InstanceType] = &[
    kind("c5.2xlarge", 8, 16384, 4, 15),
    kind("c5.4xlarge", 16, 32768, 8, 30),
    kind("c5.large", 2, 4096, 3, 10),
    kind("c5.xlarge", 4, 8192, 4, 15),
    arm(kind("c6g.large", 2, 4096, 3, 10)),
    arm(kind("c6g.xlarge", 4, 8192, 4, 15)),
    kind("c6i.large", 2, 4096, 3, 10),
    kind("c6i.xlarge", 4, 8192, 4, 15),
    kind("m1.small", 1, 1740, 2, 4),
    kind("m5.2xlarge", 8, 32768, 4, 15),
    kind("m5.4xlarge", 16, 65536, 8, 30),
    kind("m5.large", 2, 8192, 3, 10),
    kind("m5.xlarge", 4, 16384, 4, 15),
    kind("m5a.large", 2, 8192, 3, 10),
    kind("m5a.xlarge", 4, 16384, 4, 15),
    arm(kind("m6g.large", 2, 8192, 3, 10)),
    arm(kind("m6g.xlarge", 4, 16384, 4, 15)),
    kind("m6i.2xlarge", 8, 32768, 4, 15),
    kind("m6i.large", 2, 8192, 3, 10),
    kind("m6i.xlarge", 4, 16384, 4, 15),
    kind("m7i.large", 2, 8192, 3, 10),
    kind("m7i.xlarge", 4, 16384, 4, 15),
    kind("r5.large", 2, 16384, 3, 10),
    kind("r5.xlarge", 4, 32768, 4, 15),
    kind("t2.large", 2, 8192, 3, 12),
    kind("t2.medium", 2, 4096, 3, 6),
    kind("t2.micro", 1, 1024, 2, 2),
    kind("t2.nano", 1, 512, 2, 2),
    kind("t2.small", 1, 2048, 3, 4),
    kind("t3.2xlarge", 8, 32768, 4, 15),
    kind("t3.large", 2, 8192, 3, 12),
    kind("t3.medium", 2, 4096, 3, 6),
    kind("t3.micro", 2, 1024, 2, 2),
    kind("t3.nano", 2, 512, 2, 2),
    kind("t3.small", 2, 2048, 3, 4),
    kind("t3.xlarge", 4, 16384, 4, 15),
    kind("t3a.large", 2, 8192, 3, 12),
    kind("t3a.medium", 2, 4096, 3, 6),
    kind("t3a.micro", 2, 1024, 2, 2),
    kind("t3a.small", 2, 2048, 2, 4),
    arm(kind("t4g.large", 2, 8192, 3, 12)),
    arm(kind("t4g.medium", 2, 4096, 3, 6)),
    arm(kind("t4g.micro", 2, 1024, 2, 2)),
    arm(kind("t4g.small", 2, 2048, 3, 4)),
];

/// What is known of a type.
pub fn known(name: &str) -> Option<&'static InstanceType> {
    TYPES.iter().find(|kind| kind.name == name)
}

/// A type for the sake of its limits; an unusual one counts as a large one.
pub fn of(name: &str) -> &'static InstanceType {
    const LARGE: InstanceType = kind("other", 16, 65536, 8, 30);
    known(name).unwrap_or(&LARGE)
}
