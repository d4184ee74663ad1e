//! Findings: what is wrong with one Ingress, said as data. A finding never
//! stops a neighbour; `Err` is for the world failing.

use std::fmt;

use super::spec::ObjectName;

/// What a finding does to its Ingress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Everything goes on; people should know.
    Note,
    /// One rule or one record is not as wished.
    Degraded,
    /// Nothing new is made for the Ingress; what is live for it stays.
    Frozen,
}

/// Why, in a word that people can search for; the reason of the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A feature of the annotation language that is not built yet.
    NotSupportedYet,
    /// An annotation's value cannot be read.
    InvalidAnnotation,
    /// The Ingress's spec asks for what cannot be.
    InvalidSpec,
    /// Members of a group state different values of a group-wide setting.
    ConflictingAnnotation,
    /// The Ingress's class does not exist or is ambiguous.
    InvalidIngressClass,
    /// The group's name or order cannot be read.
    InvalidGroup,
    /// A Service does not exist.
    ServiceNotFound,
    /// A Service has no such port.
    ServicePortNotFound,
    /// A Service's type or address family does not fit.
    ServiceNotSuitable,
    /// A node cannot be a target.
    NodeNotSuitable,
    /// No or too few subnets.
    SubnetsNotFound,
    /// A security group does not exist.
    SecurityGroupNotFound,
    /// A certificate does not exist or cannot be used.
    CertificateNotFound,
    /// AWS refused a value.
    RefusedByAws,
    /// Something without our marks has a name that is needed.
    NameTaken,
    /// An AWS quota is used up.
    QuotaExceeded,
    /// The group waits for a frozen member that states a group-wide value.
    WaitingForMember,
    /// The load balancer is protected against deletion.
    DeletionProtected,
    /// Another Ingress holds the host's DNS record.
    HostClaimedByOther,
    /// A DNS record of the name exists that is not ours.
    RecordConflict,
    /// No hosted zone of ours for the host.
    NoHostedZone,
    /// Two hosted zones fit equally.
    AmbiguousZone,
    /// Hosted zones cannot be listed.
    DnsDenied,
    /// TargetGroupBindings of another controller exist for the group.
    ManagedByTargetGroupBinding,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::NotSupportedYet,
        Self::InvalidAnnotation,
        Self::InvalidSpec,
        Self::ConflictingAnnotation,
        Self::InvalidIngressClass,
        Self::InvalidGroup,
        Self::ServiceNotFound,
        Self::ServicePortNotFound,
        Self::ServiceNotSuitable,
        Self::NodeNotSuitable,
        Self::SubnetsNotFound,
        Self::SecurityGroupNotFound,
        Self::CertificateNotFound,
        Self::RefusedByAws,
        Self::QuotaExceeded,
        Self::WaitingForMember,
        Self::DeletionProtected,
        Self::HostClaimedByOther,
        Self::RecordConflict,
        Self::NoHostedZone,
        Self::AmbiguousZone,
        Self::DnsDenied,
        Self::ManagedByTargetGroupBinding,
        Self::NameTaken,
    ];

    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotSupportedYet => "NotSupportedYet",
            Self::InvalidAnnotation => "InvalidAnnotation",
            Self::InvalidSpec => "InvalidSpec",
            Self::ConflictingAnnotation => "ConflictingAnnotation",
            Self::InvalidIngressClass => "InvalidIngressClass",
            Self::InvalidGroup => "InvalidGroup",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::ServicePortNotFound => "ServicePortNotFound",
            Self::ServiceNotSuitable => "ServiceNotSuitable",
            Self::NodeNotSuitable => "NodeNotSuitable",
            Self::SubnetsNotFound => "SubnetsNotFound",
            Self::SecurityGroupNotFound => "SecurityGroupNotFound",
            Self::CertificateNotFound => "CertificateNotFound",
            Self::RefusedByAws => "RefusedByAWS",
            Self::NameTaken => "NameTaken",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::WaitingForMember => "WaitingForMember",
            Self::DeletionProtected => "DeletionProtected",
            Self::HostClaimedByOther => "HostClaimedByOther",
            Self::RecordConflict => "RecordConflict",
            Self::NoHostedZone => "NoHostedZone",
            Self::AmbiguousZone => "AmbiguousZone",
            Self::DnsDenied => "DNSDenied",
            Self::ManagedByTargetGroupBinding => "ManagedByTargetGroupBinding",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong with one Ingress.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Finding {
    /// Whose.
    pub ingress: ObjectName,
    /// What it does.
    pub effect: Effect,
    /// Why, in a word.
    pub reason: Reason,
    /// What is wrong, where, what was expected, what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.ingress, self.reason, self.message)
    }
}

/// What only AWS could know about a value of an Ingress, remembered as an
/// input of `model` until the value changes or verification comes round.
///
/// It applies while the Ingress still states the value: while the Ingress's
/// `Origin`s hold the same subject and value. Then it freezes the Ingress.
///
/// Quotas that are counted are different: they freeze nobody, and what is last
/// in group order is left out. On what a load balancer has, the subject is one
/// of [`Counted`](super::limits::Counted) and the value a
/// [`Limit`](super::limits::Limit); on the targets of a target group, see
/// [`TARGETS_SUBJECT`](super::verdicts::TARGETS_SUBJECT). So is a single target
/// that AWS does not take ([`TARGET_SUBJECT`](super::verdicts::TARGET_SUBJECT)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whose value.
    pub ingress: ObjectName,
    /// The annotation that states it, short form (`certificate-arn`), `spec`,
    /// or what is counted.
    pub subject: String,
    /// The value that AWS refused, as its `Origin` spells it.
    pub value: String,
    /// AWS's error code, or [`NAME_TAKEN`].
    pub code: String,
    /// AWS's message.
    pub message: String,
}

/// Code of a verdict that no error of AWS stands for: what was to be made
/// exists and does not carry our marks. Its message says all.
pub const NAME_TAKEN: &str = "NameTaken";
