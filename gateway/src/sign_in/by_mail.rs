//! Who is this, by the mail that they read? A code or a link that went there, brought back in the browser that asked.

use std::net::IpAddr;
use std::sync::Arc;

use directory::{Basis, Factor, FactorProof, Properties, SecretHash, User, UserStatus};

use super::{admit, guess, refuse};
use crate::api_error::ApiError;
use crate::factors::mailed::{Mailed, Recipient, Shown};
use crate::factors::throttle::AccountKey;
use crate::mail::address_of;
use crate::request::View;
use crate::world::World;

/// Who gets a letter that is asked for by this name: an active user with an address, where mail leaves at all.
pub(crate) fn recipient(view: &View, username: &str) -> Option<(Arc<User>, Recipient)> {
    view.setup.mail.as_ref()?;
    let user = view.directory.user_by_login(username)?;
    let can_read = user.status == UserStatus::Active && address_of(&user).is_some();
    can_read.then(|| {
        let recipient = Recipient {
            user: user.id,
            address: SecretHash::of(&user.email),
        };
        (user.clone(), recipient)
    })
}

/// Verifies a code that was asked for in this browser; throttled by account and source. `code` is bound to the browser.
///
/// # Errors
/// If it is wrong, was used or never sent: alike for everybody; or if there were too many failures.
pub(crate) async fn prove_mailed_code(
    world: &World,
    username: &str,
    browser: SecretHash,
    code: SecretHash,
    source: IpAddr,
) -> Result<(Arc<User>, FactorProof), ApiError> {
    let admission = admit(world, &guess(username, Factor::Email, source))?;
    let now = world.clock.now();
    let account = AccountKey::of(username);
    let taken = world.sign_ins.mailed.take(browser, Shown::Code { account, code }, now);
    match taken.and_then(|mailed| read(world, &mailed)) {
        Some(proved) => {
            admission.succeeded(now);
            Ok(proved)
        }
        None => {
            let user = world.directory.snapshot().user_by_login(username);
            Err(refuse(world, admission, user.as_ref(), Factor::Email, source).await)
        }
    }
}

/// Verifies the link that was asked for in this browser. Nobody guesses it.
pub(crate) fn prove_mailed_link(world: &World, browser: SecretHash, token: &str) -> Option<(Arc<User>, FactorProof)> {
    let shown = Shown::Link(SecretHash::of(token));
    let taken = world.sign_ins.mailed.take(browser, shown, world.clock.now())?;
    read(world, &taken)
}

/// What a letter proves that was read; nothing where the user or the address is another by now.
fn read(world: &World, mailed: &Mailed) -> Option<(Arc<User>, FactorProof)> {
    let Recipient { user, address } = mailed.recipient?;
    let user = world.directory.snapshot().user(user)?.clone();
    let is_same = user.status == UserStatus::Active && SecretHash::of(&user.email) == address;
    is_same.then(|| {
        let proof = FactorProof {
            factor: Factor::Email,
            at: world.clock.now(),
            basis: Basis::Mail { user: user.id, address },
            properties: Properties {
                user_presence: true,
                ..Properties::default()
            },
        };
        (user, proof)
    })
}
