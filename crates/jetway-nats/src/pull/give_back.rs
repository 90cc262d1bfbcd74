//! Giving back a message that nobody has worked on.

use super::{DeliveryInfo, MessageLease};
use async_nats::{Message, jetstream::AckKind};
use async_trait::async_trait;
use jetway_engine::backend::BackendError;
use std::fmt;

/// Gives back messages that arrived when nobody waited for them any more.
#[async_trait]
pub(crate) trait GiveBack: fmt::Debug + Send + Sync {
    /// Gives one back: it is delivered again at once.
    async fn give_back(
        &self,
        message: &Message,
        delivery: DeliveryInfo,
        lease: &MessageLease,
    ) -> Result<(), BackendError>;
}

/// Gives back by a nak. The next delivery has a higher number.
#[derive(Debug)]
pub(crate) struct Nak;

#[async_trait]
impl GiveBack for Nak {
    async fn give_back(
        &self,
        _message: &Message,
        _delivery: DeliveryInfo,
        lease: &MessageLease,
    ) -> Result<(), BackendError> {
        lease.send(AckKind::Nak(None)).await
    }
}
