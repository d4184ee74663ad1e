//! Protocols of listeners, target groups and health checks.

/// A protocol of Elastic Load Balancing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Plain HTTP; Application Load Balancers.
    Http,
    /// HTTP over TLS; Application Load Balancers.
    Https,
    /// Network Load Balancers.
    Tcp,
    /// TCP with TLS ended at the listener; Network Load Balancers.
    Tls,
    /// Network Load Balancers.
    Udp,
    /// Both on one port; Network Load Balancers.
    TcpUdp,
    /// Network Load Balancers.
    Quic,
    /// Both on one port; Network Load Balancers.
    TcpQuic,
    /// Target groups of Gateway Load Balancers.
    Geneve,
}

const ALL: [Protocol; 9] = [
    Protocol::Http,
    Protocol::Https,
    Protocol::Tcp,
    Protocol::Tls,
    Protocol::Udp,
    Protocol::TcpUdp,
    Protocol::Quic,
    Protocol::TcpQuic,
    Protocol::Geneve,
];

impl Protocol {
    /// The protocol of this name, if there is one.
    pub fn named(word: &str) -> Option<Self> {
        ALL.into_iter().find(|protocol| protocol.as_str() == word)
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
            Self::TcpUdp => "TCP_UDP",
            Self::Quic => "QUIC",
            Self::TcpQuic => "TCP_QUIC",
            Self::Geneve => "GENEVE",
        }
    }

    /// Whether it is one of Application Load Balancers.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }

    /// Whether a listener of it has a certificate and a policy.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }

    /// Whether datagrams are part of it.
    pub fn has_datagrams(self) -> bool {
        matches!(self, Self::Udp | Self::TcpUdp | Self::Quic | Self::TcpQuic)
    }

    /// Whether its targets need a QUIC server id.
    pub fn is_quic(self) -> bool {
        matches!(self, Self::Quic | Self::TcpQuic)
    }

    /// Whether a listener of this protocol can forward to a target group of
    /// the other one.
    pub fn forwards_to(self, group: Self) -> bool {
        match self {
            Self::Http | Self::Https => group.is_http(),
            Self::Tcp => matches!(group, Self::Tcp | Self::TcpUdp),
            Self::Tls => matches!(group, Self::Tcp | Self::Tls),
            Self::Udp => matches!(group, Self::Udp | Self::TcpUdp),
            Self::Quic => matches!(group, Self::Quic | Self::TcpQuic),
            other => other == group,
        }
    }
}
