//! Encodings for the preview: made on request, at levels that cause no noticeable delay, and cached.
//!
//! They are not the encodings that a publish sends. The preview only has to have an encoding if the vhost would have
//! one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::model::digest::Digest;
use crate::model::encoding::{Coding, Recipe};

/// The compression level of an encoding in the preview.
pub const fn level(coding: Coding) -> u8 {
    match coding {
        Coding::Brotli => 4,
        Coding::Gzip => 6,
    }
}

/// The key of an encoding: the digest of the content, and how it is encoded.
pub type EncodingKey = (Digest, Coding, Recipe);

/// An encoding, once it is made; `None` if it would be no smaller than the content.
type Made = Arc<OnceCell<Option<Bytes>>>;

/// A cache of encodings, limited in bytes.
pub struct Encodings {
    limit: usize,
    kept: Mutex<CachedEncoding>,
}

#[derive(Default)]
struct CachedEncoding {
    made: HashMap<EncodingKey, Made>,
    /// The keys of the finished encodings, oldest first.
    order: VecDeque<EncodingKey>,
    bytes: usize,
}

impl Encodings {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Mutex::default(),
        }
    }

    /// Returns an encoding, and makes it if it is not cached. Concurrent calls for the same key wait for a single one.
    pub async fn get<E>(
        &self,
        key: EncodingKey,
        make: impl AsyncFnOnce() -> Result<Option<Bytes>, E>,
    ) -> Result<Option<Bytes>, E> {
        let asked = Waiter {
            encodings: self,
            key,
            made: Arc::clone(self.kept().made.entry(key).or_default()),
        };
        let mut is_new = false;
        let encoding = asked
            .made
            .get_or_try_init(async || {
                is_new = true;
                make().await
            })
            .await?
            .clone();
        if is_new {
            self.keep(key, encoding.as_ref().map_or(0, Bytes::len));
        }
        Ok(encoding)
    }

    /// The number of entries, including encodings that are still being made.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.kept().made.len()
    }

    fn keep(&self, key: EncodingKey, length: usize) {
        let mut kept = self.kept();
        kept.order.push_back(key);
        kept.bytes += length;
        while kept.bytes > self.limit {
            let Some(oldest) = kept.order.pop_front() else { break };
            let gone = kept.made.remove(&oldest);
            let length = gone
                .and_then(|made| made.get().cloned().flatten())
                .map_or(0, |bytes| bytes.len());
            kept.bytes = kept.bytes.saturating_sub(length);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, CachedEncoding> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits for an encoding. When the last one goes and the encoding is not finished (it failed, or the
/// callers gave up), its entry is removed.
struct Waiter<'a> {
    encodings: &'a Encodings,
    key: EncodingKey,
    made: Made,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut kept = self.encodings.kept();
        // The lock is held, so no reference can be added: one of the two is in the map, and the other is this one.
        let is_last = Arc::strong_count(&self.made) == 2;
        let is_this = kept
            .made
            .get(&self.key)
            .is_some_and(|made| Arc::ptr_eq(made, &self.made));
        if is_last && is_this && self.made.get().is_none() {
            kept.made.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn key(number: u8) -> EncodingKey {
        (Digest::of(&[number]), Coding::Gzip, Recipe::made(9))
    }

    #[test]
    fn an_encoding_is_made_once_and_the_oldest_goes_first() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let encodings = Encodings::new(100);
            let made = Mutex::new(Vec::new());
            let get = async |number: u8| {
                let make = async || {
                    made.lock().unwrap().push(number);
                    Ok::<_, Infallible>(Some(Bytes::from(vec![number; 40])))
                };
                encodings.get(key(number), make).await.unwrap().unwrap()
            };
            for number in [1, 1, 2, 1, 3, 2, 1] {
                assert_eq!(get(number).await[..], [number; 40]);
            }
            assert_eq!(*made.lock().unwrap(), [1, 2, 3, 1]);
            let kept = encodings.kept();
            assert!(kept.bytes <= 100 && kept.made.len() == kept.order.len());
        });
    }

    #[test]
    fn what_could_not_be_made_is_made_again() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let encodings = Encodings::new(100);
            let failed = encodings.get(key(1), async || Err::<Option<Bytes>, _>("no")).await;
            assert_eq!(failed, Err("no"));
            assert_eq!(encodings.count(), 0, "what failed is not kept");
            // An encoding that nothing waits for any more is not kept either.
            let waiting = encodings.get(key(2), async || std::future::pending::<Result<_, &str>>().await);
            assert!(futures_util::poll!(Box::pin(waiting)).is_pending());
            assert_eq!(encodings.count(), 0);
            let none = encodings.get(key(1), async || Ok::<_, &str>(None)).await;
            assert_eq!(none, Ok(None));
        });
    }
}
