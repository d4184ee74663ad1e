//! Trust stores: the certificate authorities that listeners verify clients with.

/// A trust store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustStore {
    /// `arn:…:truststore/NAME/ID`.
    pub arn: String,
    /// Name, unique in account and region.
    pub name: String,
    /// Whether it can be used yet.
    pub status: TrustStoreStatus,
}

/// `Status` of a trust store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustStoreStatus {
    /// Being made.
    Creating,
    /// Usable.
    Active,
}
