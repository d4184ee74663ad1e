//! The fence at every attempt: a call that is tried again after this process was
//! stopped for a while must not write for one that leads by now.

use std::fmt;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

use super::client::Fence;
use super::metrics::operation;

/// The interceptor; the last one before an attempt is sent.
pub(super) struct Gate(pub(super) Fence);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}

#[dyn_dispatch_hint]
impl Intercept for Gate {
    fn name(&self) -> &'static str {
        "Gate"
    }

    fn modify_before_transmit(
        &self,
        _context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // What is not known may write.
        let writes = operation(cfg).is_none_or(|operation| operation.writes);
        if writes && !(self.0)() {
            return Err("this process may not write now".into());
        }
        Ok(())
    }
}
