//! Which ways to sign in are offered? Only those that could open what somebody wants to open.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::response::Response;
use directory::User;
use http::StatusCode;
use policies::{Denied, OrganizationAction, Proves, Refused};

use super::next;
use super::prove::{Grounds, risk_of};
use super::standing::{self, Standing};
use super::state::{Goal, State};
use super::under_way::PartialId;
use super::visitor::Visitor;
use super::{Leading, title};
use crate::agents::Confirmation;
use crate::auth::application_host::see_other;
use crate::auth::manage;
use crate::pages::texts::MethodsTexts;
use crate::pages::{self, Application, Link, Message, NothingHelps, Offer, PageReason, StepUp};
use crate::request::page_reason;

/// Where the steps of one sign-in are.
pub(super) struct Links {
    /// The first question.
    pub(super) change: String,
    /// All ways, before anybody is known.
    pub(super) methods: String,
    /// By the device.
    pub(super) device: String,
    /// By a password.
    pub(super) password: String,
    /// By a code.
    pub(super) totp: String,
    /// By a security key or passkey.
    pub(super) webauthn: String,
    /// By mail.
    pub(super) email: String,
    /// By a recovery code.
    pub(super) recovery: String,
    /// By another device.
    pub(super) push: String,
    /// What follows.
    pub(super) next: String,
}

impl Links {
    /// Those of a sign-in.
    pub(super) fn of(sealed: &str) -> Self {
        let link = |step: &str| format!("/sign-in/{step}?state={sealed}");
        Self {
            change: link("another"),
            methods: link("methods"),
            device: link("device"),
            password: link("password"),
            totp: link("totp"),
            webauthn: link("webauthn"),
            email: link("email"),
            recovery: link("recovery"),
            push: link("push"),
            next: link("next"),
        }
    }
}

/// Whether devices sign in at all.
fn fastpass_is_on(visitor: &Visitor) -> bool {
    visitor.view.directory.fastpass().enabled
}

/// Whether the page looks for a device by itself: only where a rule of the application looks at devices.
/// Whoever is about to be somebody else says first who.
pub(super) fn looks_for_device(visitor: &Visitor, state: &State) -> bool {
    if state.another {
        return false;
    }
    let served = state
        .transaction()
        .and_then(|transaction| next::served(&visitor.view, transaction));
    let looks = served.is_some_and(|served| visitor.view.decider.policies().reads_device(&served.facts));
    looks && fastpass_is_on(visitor)
}

/// What could open what somebody wants, before they said who they are: the same for everybody.
fn openers(visitor: &Visitor, state: &State) -> Arc<[BTreeSet<Proves>]> {
    match state.transaction() {
        Some(transaction) => {
            let ip = visitor.arrived.peer;
            next::openers(&visitor.world, &visitor.view, transaction, ip)
        }
        // One's own page opens to any session.
        None => [Proves::Fastpass, Proves::Webauthn, Proves::Password, Proves::Push]
            .map(|proves| BTreeSet::from([proves]))
            .into(),
    }
}

/// What would do, as far as can be said: for whoever is signed in what they could prove, before that what anybody could.
pub(super) fn ways(visitor: &Visitor, state: &State) -> Arc<[BTreeSet<Proves>]> {
    match visitor.session() {
        Some(session) => match next::after(visitor, state, &session.grip.clone()) {
            next::Next::Ask { ways, .. } => ways.into(),
            next::Next::Leave(_) | next::Next::Nothing { .. } => Arc::new([]),
        },
        None => openers(visitor, state),
    }
}

/// Whether the browser may offer passkeys beside the username.
pub(super) fn looks_for_passkeys(visitor: &Visitor, state: &State) -> bool {
    ways_before(visitor, state).webauthn
}

/// What somebody has to do on another device: less than a PIN or fingerprint, where less would do.
pub(super) fn demand_of_push(visitor: &Visitor, state: &State) -> Confirmation {
    let ways = ways(visitor, state);
    let wants = |wanted: Proves| ways.iter().any(|way| way.contains(&wanted));
    match !wants(Proves::Push) && wants(Proves::PushVerified) {
        true => Confirmation::Verified,
        false => Confirmation::Approved,
    }
}

/// What the device has to have its person do.
pub(super) fn demand(visitor: &Visitor, state: &State) -> Confirmation {
    let ways = ways(visitor, state);
    let demands = ways.iter().filter_map(|set| set.iter().copied().find_map(confirmation));
    demands.min().unwrap_or(Confirmation::Silent)
}

const fn confirmation(proves: Proves) -> Option<Confirmation> {
    match proves {
        Proves::Device | Proves::Fastpass => Some(Confirmation::Silent),
        Proves::FastpassApproved => Some(Confirmation::Approved),
        Proves::FastpassVerified => Some(Confirmation::Verified),
        Proves::Password
        | Proves::Totp
        | Proves::Webauthn
        | Proves::WebauthnVerified
        | Proves::Push
        | Proves::PushVerified
        | Proves::Email
        | Proves::Recovery => None,
    }
}

/// Where somebody goes first who typed a username.
pub(super) fn first_way(visitor: &Visitor, state: &State) -> String {
    let links = Links::of(&state.seal(&visitor.world.seal));
    let ways = ways_before(visitor, state);
    // Whoever has a passkey was offered it beside the username.
    match (ways.device, ways.password, ways.email) {
        (true, false, false) => links.device,
        (false, true, false) => links.password,
        (false, false, true) => links.email,
        (false, false, false) if ways.webauthn => links.webauthn,
        _ => links.methods,
    }
}

/// The ways before anybody is known.
pub(super) fn before_anybody_is_known<'a>(visitor: &Visitor, state: &State, links: &'a Links) -> Vec<Offer<'a>> {
    let ways = ways_before(visitor, state);
    let texts = &visitor.shell().texts.methods;
    let device = ways.device.then_some(Offer {
        id: "device",
        title: texts.device,
        hint: texts.device_hint,
        href: &links.device,
    });
    let password = ways.password.then_some(Offer {
        id: "password",
        title: texts.password,
        hint: texts.password_hint,
        href: &links.password,
    });
    let webauthn = ways.webauthn.then_some(Offer {
        id: "webauthn",
        title: texts.webauthn,
        hint: texts.webauthn_hint,
        href: &links.webauthn,
    });
    let email = ways.email.then_some(Offer {
        id: "email",
        title: texts.email,
        hint: texts.email_hint,
        href: &links.email,
    });
    let push = ways.push.then(|| push_offer(texts, links));
    [device, webauthn, password, push, email]
        .into_iter()
        .flatten()
        .collect()
}

fn push_offer<'a>(texts: &MethodsTexts, links: &'a Links) -> Offer<'a> {
    Offer {
        id: "push",
        title: texts.push,
        hint: texts.push_hint,
        href: &links.push,
    }
}

struct Ways {
    device: bool,
    password: bool,
    webauthn: bool,
    push: bool,
    email: bool,
}

impl Ways {
    fn are_several(&self) -> bool {
        let ways = [self.device, self.password, self.webauthn, self.push, self.email];
        ways.into_iter().filter(|way| *way).count() > 1
    }
}

fn ways_before(visitor: &Visitor, state: &State) -> Ways {
    let openers = openers(visitor, state);
    let mentions = |wanted: fn(Proves) -> bool| openers.iter().flatten().copied().any(wanted);
    Ways {
        device: fastpass_is_on(visitor) && mentions(|proves| confirmation(proves).is_some()),
        password: mentions(|proves| proves == Proves::Password),
        webauthn: mentions(|proves| matches!(proves, Proves::Webauthn | Proves::WebauthnVerified)),
        // Beside a password it comes second, and is offered when that is proved.
        email: visitor.view.setup.mail.is_some()
            && openers
                .iter()
                .any(|set| set.contains(&Proves::Email) && !set.contains(&Proves::Password)),
        push: fastpass_is_on(visitor) && mentions(|proves| matches!(proves, Proves::Push | Proves::PushVerified)),
    }
}

/// Another way than the one that is shown, if there is one.
pub(super) fn other_way(visitor: &Visitor, state: &State, links: &Links) -> Option<String> {
    if visitor.session().is_some() {
        // The device was asked by itself: not again.
        return Some(format!("{}&tried=device", links.next));
    }
    if state.partial.is_some() {
        return None;
    }
    let ways = ways_before(visitor, state);
    (ways.are_several() && state.username.is_some()).then(|| links.methods.clone())
}

/// Whose password or code is asked for.
pub(super) fn username(visitor: &Visitor, state: &State) -> String {
    let known = visitor.identified().map(|identified| identified.user.login.clone());
    known.or_else(|| state.username.clone()).unwrap_or_default()
}

/// The same where something may have been proved for somebody already.
pub(super) fn username_of(visitor: &Visitor, state: &State) -> String {
    half_known(visitor, state).map_or_else(|| username(visitor, state), |user| user.login.clone())
}

/// Who is signed in, or has proved something in this sign-in.
pub(super) fn half_known(visitor: &Visitor, state: &State) -> Option<Arc<User>> {
    if let Some(identified) = visitor.identified() {
        return Some(identified.user.clone());
    }
    let partial = visitor.world.under_way.look(state.partial?, visitor.browser())?;
    let user = visitor.view.directory.user(partial.user)?;
    (user.status == directory::UserStatus::Active).then(|| user.clone())
}

/// Asks for what is missing. Where the device alone would do, it is asked at once.
pub(super) fn ask(visitor: &Visitor, state: &State, denied: &Denied, ways: &[BTreeSet<Proves>]) -> Response {
    let sealed = state.seal(&visitor.world.seal);
    let links = Links::of(&sealed);
    let by_itself = ways.first().is_some_and(|way| {
        way.iter()
            .all(|proves| matches!(proves, Proves::Device | Proves::Fastpass))
            && looks_for_device(visitor, state)
    });
    // A device that did not answer is not asked again and again.
    if by_itself && !visitor.arrived.target.contains("tried=device") {
        let target = format!("{}&tried=device", links.device);
        return visitor.answer(see_other(&target));
    }
    let (Some(leading), Some(identified)) = (leading(visitor, state), visitor.identified()) else {
        return visitor.expired("/");
    };
    let reasons: Vec<PageReason<'_>> = denied
        .reasons
        .iter()
        .map(|reason| page_reason(visitor.shell().texts, reason))
        .collect();
    let page = StepUp {
        shell: visitor.shell(),
        application: leading.page(),
        user: &identified.user.login,
        reasons: &reasons,
        offers: offers(visitor, &links, ways),
        another_account: &links.change,
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

/// What somebody is to be let into: an application, or their own account.
fn leading(visitor: &Visitor, state: &State) -> Option<Leading> {
    match state.goal {
        Goal::Account(_) => Some(Leading {
            name: visitor.shell().texts.manage.account.to_owned(),
            origin: visitor.view.setup.auth_origin.clone(),
        }),
        Goal::Application(_) | Goal::Home | Goal::Device(_) => title(state),
    }
}

fn offers<'a>(visitor: &Visitor, links: &'a Links, ways: &[BTreeSet<Proves>]) -> Vec<Offer<'a>> {
    let texts = &visitor.shell().texts.methods;
    let mut offered = BTreeSet::new();
    let firsts = ways.iter().filter_map(|way| way.iter().next().copied());
    let made = firsts.filter_map(|proves| {
        let offer = match proves {
            Proves::Device | Proves::Fastpass | Proves::FastpassApproved | Proves::FastpassVerified => Offer {
                id: "device",
                title: texts.device,
                hint: texts.device_hint,
                href: &links.device,
            },
            Proves::Password => Offer {
                id: "password",
                title: texts.password,
                hint: texts.password_hint,
                href: &links.password,
            },
            Proves::Totp => Offer {
                id: "totp",
                title: texts.totp,
                hint: texts.totp_hint,
                href: &links.totp,
            },
            Proves::Webauthn | Proves::WebauthnVerified => Offer {
                id: "webauthn",
                title: texts.webauthn,
                hint: texts.webauthn_hint,
                href: &links.webauthn,
            },
            Proves::Email => Offer {
                id: "email",
                title: texts.email,
                hint: texts.email_hint,
                href: &links.email,
            },
            Proves::Recovery => Offer {
                id: "recovery",
                title: texts.recovery,
                hint: texts.recovery_hint,
                href: &links.recovery,
            },
            Proves::Push | Proves::PushVerified => push_offer(texts, links),
        };
        offered.insert(offer.id).then_some(offer)
    });
    made.collect()
}

/// Says that nothing that the user has would do, and why.
pub(super) fn nothing(visitor: &Visitor, state: &State, denied: &Denied) -> Response {
    if let Goal::Account(_) = state.goal {
        return manage::nothing_helps(visitor, denied);
    }
    let sealed = state.seal(&visitor.world.seal);
    let links = Links::of(&sealed);
    let (Some(leading), Some(identified), Some(transaction)) =
        (title(state), visitor.identified(), state.transaction())
    else {
        return visitor.expired("/");
    };
    let reasons: Vec<PageReason<'_>> = denied
        .reasons
        .iter()
        .map(|reason| page_reason(visitor.shell().texts, reason))
        .collect();
    let again = format!("{}{}", transaction.origin(), transaction.target);
    let page = NothingHelps {
        shell: visitor.shell(),
        application: leading.page(),
        user: &identified.user.login,
        reasons: &reasons,
        again: &again,
        another_account: &links.change,
        state: &sealed,
    };
    visitor.answer(pages::respond(StatusCode::FORBIDDEN, &page))
}

/// Says that no session begins with what was proved, and why.
pub(super) fn nothing_begins(visitor: &Visitor, denied: &Denied) -> Response {
    let reasons: Vec<PageReason<'_>> = denied
        .reasons
        .iter()
        .map(|reason| page_reason(visitor.shell().texts, reason))
        .collect();
    let texts = &visitor.shell().texts.refusals;
    let message = Message {
        reasons: &reasons,
        link: Some(Link {
            href: "/sign-in",
            text: texts.sign_in_again,
        }),
        code: "sign-in-refused",
        ..visitor.message(texts.sign_in_title, texts.sign_in_lead)
    };
    visitor.answer(message.respond(StatusCode::FORBIDDEN))
}

/// Goes on for somebody of whom something is proved, although no session began yet.
pub(super) fn go_on_with(visitor: &Visitor, state: &State, id: PartialId) -> Response {
    let partial = visitor.world.under_way.look(id, visitor.browser());
    let user = partial
        .as_ref()
        .and_then(|partial| visitor.view.directory.user(partial.user));
    let (Some(partial), Some(user)) = (partial, user) else {
        return visitor.expired("/");
    };
    let view = &visitor.view;
    let in_software = view.setup.config.sign_in.count_software_verification;
    let grounds = Grounds {
        proofs: &partial.proofs,
        device: partial.device,
        risk: risk_of(visitor, &user),
        installed: state.installed,
    };
    let request = grounds.ask(visitor, &user);
    let action = OrganizationAction::CreateSession;
    let Err(denied) = view.decider.decide_organization(&action, &request) else {
        return visitor.expired("/");
    };
    let standing = Standing {
        user: &user,
        proofs: &partial.proofs,
        begun: view.now,
        ages: request.ages,
        in_software,
    };
    let remedies = standing::remedies(&visitor.world, view, &standing);
    let refused = Refused::Organization(&action, &request);
    let ways: Vec<_> = view
        .decider
        .remedies(&refused, &remedies)
        .into_iter()
        .map(|remedy| remedy.adds.clone())
        .collect();
    if ways.is_empty() {
        return nothing_begins(visitor, &denied);
    }
    let sealed = state.seal(&visitor.world.seal);
    let links = Links::of(&sealed);
    let reasons: Vec<PageReason<'_>> = denied
        .reasons
        .iter()
        .map(|reason| page_reason(visitor.shell().texts, reason))
        .collect();
    let leading = title(state).unwrap_or_else(|| Leading {
        name: view.setup.brand.name().to_owned(),
        origin: view.setup.auth_origin.clone(),
    });
    let application: Application<'_> = leading.page();
    let page = StepUp {
        shell: visitor.shell(),
        application,
        user: &user.login,
        reasons: &reasons,
        offers: offers(visitor, &links, &ways),
        another_account: &links.change,
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}
