//! The fence at every attempt: a call that is tried again, or that waited for its
//! connection, after this process was stopped for a while must not write for one
//! that leads by now.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeTransmitInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::client::Fence;
use super::metrics::operation;

/// What is said of a write that was not sent.
pub(super) const DOWN: &str = "this process may not write now";

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
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // What is not known may write.
        if operation(cfg).is_some_and(|operation| !operation.writes) {
            return Ok(());
        }
        if !(self.0)() {
            return Err(DOWN.into());
        }
        // The next attempt has the body as it was: the SDK keeps a copy.
        let body = context.request_mut().body_mut();
        let guarded = Guarded {
            body: mem::replace(body, SdkBody::taken()),
            fence: Fence::clone(&self.0),
        };
        *body = SdkBody::from_body_1_x(guarded);
        Ok(())
    }
}

/// A body that breaks off when the fence is down as it is to be written to the
/// connection, which may have taken its time: AWS carries out no request that is
/// not whole.
struct Guarded {
    body: SdkBody,
    fence: Fence,
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !(self.fence)() {
            return Poll::Ready(Some(Err(DOWN.into())));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        Body::size_hint(&self.body)
    }
}
