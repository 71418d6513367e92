//! How many passwords are worked on at once? As many as the pool has places; a bounded number waits, the rest is refused.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::password::{self, HashFailed, NotVerified, Password, PasswordHash, Verified};

/// Works on passwords away from the requests, a bounded number at once: each takes a core and its memory.
#[derive(Debug, Clone)]
pub(crate) struct Hasher {
    working: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

/// Says why work on a password was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotDone<Cause: std::error::Error + 'static> {
    /// Too many passwords wait already; nothing was looked at.
    #[error("too many passwords wait to be hashed")]
    Busy,
    /// The work stopped halfway.
    #[error("waiting for a password to be hashed")]
    Stopped(#[source] tokio::task::JoinError),
    /// The work came to this.
    #[error(transparent)]
    Came(Cause),
}

impl Hasher {
    /// A pool that works on `at_once` passwords while `waiting` more may wait.
    pub(crate) fn new(at_once: NonZeroUsize, waiting: usize) -> Self {
        let most = at_once.get().saturating_add(waiting).min(Semaphore::MAX_PERMITS);
        Self {
            working: Arc::new(Semaphore::new(at_once.get().min(Semaphore::MAX_PERMITS))),
            admitted: Arc::new(Semaphore::new(most)),
        }
    }

    /// Hashes a password as [`password::hash`] does.
    ///
    /// # Errors
    /// Says why there is no hash.
    pub(crate) async fn hash(&self, password: Password, salt: [u8; 16]) -> Result<PasswordHash, NotDone<HashFailed>> {
        self.work(move || password::hash(&password, salt)).await
    }

    /// Compares a password as [`password::verify`] does.
    ///
    /// # Errors
    /// Says why the password is not verified.
    pub(crate) async fn verify(
        &self,
        hash: Option<PasswordHash>,
        password: Password,
    ) -> Result<Verified, NotDone<NotVerified>> {
        self.work(move || password::verify(hash.as_ref(), &password)).await
    }

    /// The places are given back when the work is done, not when nobody waits for it any more: who hangs up frees nothing.
    async fn work<Done, Cause>(
        &self,
        work: impl FnOnce() -> Result<Done, Cause> + Send + 'static,
    ) -> Result<Done, NotDone<Cause>>
    where
        Done: Send + 'static,
        Cause: std::error::Error + Send + 'static,
    {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned();
        let admitted = admitted.map_err(|_| NotDone::Busy)?;
        let working = Arc::clone(&self.working).acquire_owned().await;
        let working = working.map_err(|_| NotDone::Busy)?;
        let work = spawn_blocking(move || {
            let done = work();
            drop((working, admitted));
            done
        });
        work.await.map_err(NotDone::Stopped)?.map_err(NotDone::Came)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn a_password_hashed_in_the_pool_is_verified_there_and_another_is_not() {
        let hasher = Hasher::new(TWO, 10);
        let kept = hasher.hash(typed("correct horse"), [7; 16]).await.unwrap();

        let right = hasher.verify(Some(kept.clone()), typed("correct horse")).await;
        let wrong = hasher.verify(Some(kept), typed("battery staple")).await;
        let nobody = hasher.verify(None, typed("correct horse")).await;

        assert!(!right.unwrap().is_outdated());
        assert!(matches!(wrong, Err(NotDone::Came(NotVerified::Wrong))));
        assert!(matches!(nobody, Err(NotDone::Came(NotVerified::Wrong))));
    }

    #[tokio::test]
    async fn no_more_than_the_pool_has_places_for_is_worked_on_at_once() {
        let hasher = Hasher::new(TWO, 30);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = |hasher: Hasher| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            tokio::spawn(async move {
                let work = move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok::<(), Infallible>(())
                };
                hasher.work(work).await
            })
        };

        for task in (0..32).map(|_| work(hasher.clone())).collect::<Vec<_>>() {
            task.await.unwrap().unwrap();
        }

        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
    }

    #[tokio::test]
    async fn who_finds_too_many_waiting_is_refused_until_one_is_done() {
        let hasher = Hasher::new(ONE, 1);
        let (finish, finished) = mpsc::channel::<()>();
        let mut first = pin!(hasher.work(move || finished.recv()));
        assert!(is_pending(first.as_mut()));
        let mut second = pin!(hasher.work(|| Ok::<_, Infallible>(())));
        assert!(is_pending(second.as_mut()));

        let third = hasher.work(|| Ok::<_, Infallible>(())).await;
        assert!(matches!(third, Err(NotDone::Busy)));

        finish.send(()).unwrap();
        first.await.unwrap();
        second.await.unwrap();
        hasher.work(|| Ok::<_, Infallible>(())).await.unwrap();
    }

    #[tokio::test]
    async fn who_hangs_up_frees_no_place_before_the_work_is_done() {
        let hasher = Hasher::new(ONE, 0);
        let (finish, finished) = mpsc::channel::<()>();
        let mut abandoned = Box::pin(hasher.work(move || finished.recv()));
        assert!(is_pending(abandoned.as_mut()));
        drop(abandoned);

        let next = hasher.work(|| Ok::<_, Infallible>(())).await;
        assert!(matches!(next, Err(NotDone::Busy)));

        finish.send(()).unwrap();
        let _ = hasher.working.acquire().await.unwrap();
        let _ = hasher.admitted.acquire().await.unwrap();
        hasher.work(|| Ok::<_, Infallible>(())).await.unwrap();
    }

    fn is_pending<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    fn typed(text: &str) -> Password {
        Password::typed(text.to_owned().into()).unwrap()
    }

    const ONE: NonZeroUsize = NonZeroUsize::MIN;
    const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);
}
