//! How many files and sockets this process and its children may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Allows as many as the system does: a thousand load balancers have thousands
/// of sockets, more than what many systems begin with.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where it is refused, the sockets say so themselves.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}
