//! What is kept at clients so that only the load balancer can read it.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Which letters a sealed text may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letters {
    /// Those that cookies may have.
    Cookie,
    /// Those that stand in a URL as they are.
    Url,
}

impl Letters {
    fn engine(self) -> base64::engine::GeneralPurpose {
        match self {
            Self::Cookie => BASE64_STANDARD_NO_PAD,
            Self::Url => BASE64_URL_SAFE_NO_PAD,
        }
    }
}

/// Seals and opens. Cheap to clone; all clones open what one of them sealed.
#[derive(Clone, Debug)]
pub(crate) struct Seals(Arc<LessSafeKey>);

impl Default for Seals {
    fn default() -> Self {
        loop {
            let secret: [u8; 32] = rand::random();
            // Every 32 bytes are a key.
            if let Ok(key) = UnboundKey::new(&AES_256_GCM, &secret) {
                return Self(Arc::new(LessSafeKey::new(key)));
            }
        }
    }
}

impl Seals {
    /// A text that only [`open`](Self::open) understands, and that only for the
    /// same `owner`. `None` for what is no JSON.
    pub(super) fn seal<T: Serialize>(
        &self,
        owner: &str,
        what: &T,
        letters: Letters,
    ) -> Option<String> {
        let mut bytes = serde_json::to_vec(what).ok()?;
        let nonce: [u8; NONCE_LEN] = rand::random();
        let whose = Aad::from(owner.as_bytes());
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), whose, &mut bytes)
            .ok()?;
        Some(letters.engine().encode([nonce.to_vec(), bytes].concat()))
    }

    /// What was sealed; `None` for anything else.
    pub(super) fn open<T: DeserializeOwned>(
        &self,
        owner: &str,
        text: &str,
        letters: Letters,
    ) -> Option<T> {
        let bytes = letters.engine().decode(text).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let (nonce, mut sealed) = (Nonce::assume_unique_for_key(*nonce), sealed.to_vec());
        let whose = Aad::from(owner.as_bytes());
        let plain = self.0.open_in_place(nonce, whose, &mut sealed).ok()?;
        serde_json::from_slice(plain).ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_opens() {
        let seals = Seals::default();
        let text = seals.seal("web", &("secret", 7), Letters::Url).unwrap();
        let open = |seals: &Seals, owner: &str, text: &str| {
            seals.open::<(String, u8)>(owner, text, Letters::Url)
        };
        assert_eq!(open(&seals, "web", &text), Some(("secret".to_owned(), 7)));
        assert_eq!(open(&seals, "api", &text), None);
        assert_eq!(open(&Seals::default(), "web", &text), None);
        assert_eq!(open(&seals, "web", &text[1..]), None);
        assert_eq!(open(&seals, "web", ""), None);
        assert!(!text.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_'));
    }
}
