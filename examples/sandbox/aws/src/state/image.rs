//! Images: the few public ones of Amazon that every account sees.

/// A public image of Amazon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// `ami-…`.
    pub id: &'static str,
    /// Name.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
    /// When it was made.
    pub created: &'static str,
    /// Snapshot of its root volume.
    pub snapshot: &'static str,
}

/// Account of Amazon that owns them.
pub const OWNER: &str = "137112412989";

/// The first one, of which most instances are made.
pub const FIRST: &str = "ami-0123456789abcdef0";

/// All of them.
pub const IMAGES: &[Image] = &[
    Image {
        id: FIRST,
        name: "al2023-ami-2023.9.20260105.0-kernel-6.1-x86_64",
        description: "Amazon Linux 2023 AMI x86_64 HVM kernel-6.1",
        architecture: "x86_64",
        created: "2026-01-05T21:14:09.000Z",
        snapshot: "snap-0123456789abcdef0",
    },
    Image {
        id: "ami-0123456789abcdef1",
        name: "al2023-ami-2023.9.20260105.0-kernel-6.1-arm64",
        description: "Amazon Linux 2023 AMI arm64 HVM kernel-6.1",
        architecture: "arm64",
        created: "2026-01-05T21:14:11.000Z",
        snapshot: "snap-0123456789abcdef1",
    },
    Image {
        id: "ami-0123456789abcdef2",
        name: "amzn2-ami-hvm-2.0.20260105.0-x86_64-gp2",
        description: "Amazon Linux 2 AMI x86_64 HVM gp2",
        architecture: "x86_64",
        created: "2026-01-05T20:02:41.000Z",
        snapshot: "snap-0123456789abcdef2",
    },
];

/// An image by id.
pub fn find(id: &str) -> Option<&'static Image> {
    IMAGES.iter().find(|image| image.id == id)
}
