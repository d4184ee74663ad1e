//! All wire codes of AWS errors, in one place: nobody else matches on them.

use std::fmt;

/// What an error of AWS means for what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Too many calls: the shared bucket slows down, the call had no effect.
    Throttle,
    /// No answer, or one that says nothing: a write may have happened.
    Transient,
    /// The thing does not exist (any more): on deletion a success, otherwise
    /// what is remembered is wrong.
    Gone,
    /// Another thing still holds it: it goes later.
    InUse,
    /// AWS holds something other than what was believed: read, then decide
    /// again.
    LostRace,
    /// An account quota is used up.
    Quota,
    /// The credentials do not allow the call.
    Denied,
    /// The credentials themselves are not accepted.
    Credentials,
    /// Protected against deletion.
    Protected,
    /// A value that AWS does not take; permanent until it changes.
    Refused,
    /// The name of what was to be made is taken by something without our
    /// marks, which is left alone; until somebody marks, renames or deletes it.
    NameTaken,
    /// The call was not sent: this process may not write (any more).
    Fenced,
}

/// What `DeregisterTargets` answers for a target that is not registered.
pub const NOT_REGISTERED: &str = "InvalidTarget";

/// Whether a code may mean that a thing made a moment ago is not visible to
/// the service yet.
pub fn not_visible_yet(code: &str) -> bool {
    matches!(
        code,
        "LoadBalancerNotFound"
            | "ListenerNotFound"
            | "RuleNotFound"
            | "TargetGroupNotFound"
            | "InvalidGroup.NotFound"
            | "InvalidSecurityGroup"
    )
}

/// Whether a code says that a subnet or security group that was believed to
/// exist does not, or is not as it was believed.
pub fn doubts_the_vpc(code: &str) -> bool {
    matches!(
        code,
        "SubnetNotFound"
            | "InvalidSubnet"
            | "InvalidSubnetID.NotFound"
            | "InvalidSecurityGroup"
            | "InvalidGroup.NotFound"
    )
}

impl Class {
    /// The class of a wire code. `message` decides only where one code means
    /// two things.
    pub fn of(code: &str, message: &str) -> Self {
        match code {
            "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "BandwidthLimitExceeded"
            | "SlowDown"
            | "EC2ThrottledException"
            | "PriorRequestNotComplete" => Self::Throttle,

            "InternalFailure"
            | "InternalError"
            | "InternalServerError"
            | "ServiceUnavailable"
            | "Unavailable"
            | "RequestTimeout"
            | "HealthUnavailable"
            | "InsufficientCapacity"
            | "IDPCommunicationError" => Self::Transient,

            "LoadBalancerNotFound"
            | "ListenerNotFound"
            | "RuleNotFound"
            | "TargetGroupNotFound"
            | "InvalidGroup.NotFound"
            | "InvalidInstanceID.NotFound"
            | "InvalidNetworkInterfaceID.NotFound"
            | "ResourceNotFoundException"
            | "NoSuchHostedZone"
            | "NoSuchChange" => Self::Gone,

            "ResourceInUse" | "DependencyViolation" => Self::InUse,

            "PriorityInUse"
            | "DuplicateListener"
            | "DuplicateTargetGroupName"
            | "DuplicateLoadBalancerName"
            | "InvalidGroup.Duplicate"
            | "InvalidPermission.Duplicate"
            | "InvalidPermission.NotFound"
            | "InvalidChangeBatch"
            | "TargetGroupAssociationLimit"
            | "ResourceAlreadyExistsException" => Self::LostRace,

            "RulesPerSecurityGroupLimitExceeded"
            | "SecurityGroupLimitExceeded"
            | "SecurityGroupsPerInterfaceLimitExceeded"
            | "LimitExceededException"
            | "LimitsExceededException"
            | "TagLimitExceeded" => Self::Quota,

            "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "OptInRequired" => Self::Denied,

            "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "AuthFailure"
            | "SignatureDoesNotMatch"
            | "InvalidSignatureException"
            | "UnrecognizedClientException"
            | "RequestExpired" => Self::Credentials,

            // The same code refuses deletion of a default rule or a default
            // certificate; those are mistakes in what was asked for.
            "OperationNotPermitted" if message.contains("deletion protection") => Self::Protected,

            // ModifyListener says so instead of DuplicateListener.
            "ValidationError" if message.contains("already in use") => Self::LostRace,

            code if code.starts_with("TooMany") => Self::Quota,
            _ => Self::Refused,
        }
    }

    /// The class of an answer without a code, by HTTP status.
    pub fn of_status(status: u16) -> Self {
        match status {
            429 => Self::Throttle,
            401 | 403 => Self::Denied,
            400 | 404..=428 | 430..=499 => Self::Refused,
            _ => Self::Transient,
        }
    }

    /// Whether, after a write that failed so, AWS may hold something other
    /// than what was remembered before it.
    pub fn leaves_doubt(self) -> bool {
        matches!(self, Self::Transient | Self::Gone | Self::LostRace)
    }

    /// A word for labels of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::Transient => "transient",
            Self::Gone => "gone",
            Self::InUse => "in_use",
            Self::LostRace => "lost_race",
            Self::Quota => "quota",
            Self::Denied => "denied",
            Self::Credentials => "credentials",
            Self::Protected => "protected",
            Self::Refused => "refused",
            Self::NameTaken => "name_taken",
            Self::Fenced => "fenced",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_class() {
        for (code, message, class) in [
            ("Throttling", "Rate exceeded", Class::Throttle),
            ("RequestLimitExceeded", "", Class::Throttle),
            ("PriorRequestNotComplete", "", Class::Throttle),
            ("ServiceUnavailable", "", Class::Transient),
            ("TargetGroupNotFound", "", Class::Gone),
            ("InvalidGroup.NotFound", "", Class::Gone),
            ("ResourceInUse", "", Class::InUse),
            ("DependencyViolation", "", Class::InUse),
            ("PriorityInUse", "", Class::LostRace),
            (
                "ValidationError",
                "Listener port '80' is already in use",
                Class::LostRace,
            ),
            ("ValidationError", "bad name", Class::Refused),
            ("TooManyRules", "", Class::Quota),
            ("TooManyRequestsException", "", Class::Throttle),
            ("UnauthorizedOperation", "", Class::Denied),
            ("ExpiredToken", "", Class::Credentials),
            (
                "OperationNotPermitted",
                "Load balancer cannot be deleted because deletion protection is enabled",
                Class::Protected,
            ),
            ("OperationNotPermitted", "default rule", Class::Refused),
            ("CertificateNotFound", "", Class::Refused),
            ("NeverSeenBefore", "", Class::Refused),
        ] {
            assert_eq!(Class::of(code, message), class, "{code} {message}");
        }
    }

    #[test]
    fn a_status_alone_says_whether_it_may_have_happened() {
        assert_eq!(Class::of_status(503), Class::Transient);
        assert_eq!(Class::of_status(400), Class::Refused);
        assert_eq!(Class::of_status(403), Class::Denied);
        assert!(Class::Transient.leaves_doubt());
        assert!(!Class::Throttle.leaves_doubt());
    }
}
