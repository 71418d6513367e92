//! What follows for somebody who is signed in? Where they wanted to go, or what the policies ask for first, or nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use directory::DeviceProof;
use http::Method as HttpMethod;
use policies::{AccessRequest, Action, Ages, Denied, Proves, Refused, RequestFacts};

use super::standing::{Standing, remedies};
use super::state::{Goal, State};
use super::visitor::Visitor;
use crate::auth::manage::{AccountPage, Asked as AskedToManage};
use crate::auth::transaction::Transaction;
use crate::config::Host;
use crate::request::{Assessed, Identified, Judged, Question, Shown, View, assess, identify, matched_path};
use crate::sessions::Grip;
use crate::setup::Served;
use crate::world::World;

/// What follows.
pub(crate) enum Next {
    /// Away from here, to this address.
    Leave(String),
    /// More has to be proved.
    Ask {
        /// What the policies say.
        denied: Denied,
        /// What would do, the least first.
        ways: Vec<BTreeSet<Proves>>,
    },
    /// Nothing that the user has would do.
    Nothing {
        /// What the policies say.
        denied: Denied,
    },
}

/// What follows with this session.
pub(crate) fn after(visitor: &Visitor, state: &State, grip: &Arc<Grip>) -> Next {
    let view = &visitor.view;
    let transaction = match &state.goal {
        Goal::Home => return Next::Leave("/".to_owned()),
        Goal::Device(key) => return Next::Leave(super::enroll::url(key.as_ref())),
        Goal::Account(page) => return after_for_account(visitor, *page, grip),
        Goal::Application(transaction) => transaction,
    };
    let world = &visitor.world;
    // As the directory is now: the session was made or changed just before.
    let now = world.view();
    let shown = Shown {
        certificate: None,
        assertion: None,
        session: Some(grip),
    };
    let identified = identify(shown, &now.directory, now.now).ok();
    let (Some(identified), Some(served)) = (identified, served(view, transaction)) else {
        return Next::Leave(transaction.origin());
    };
    let asked = Asked {
        world,
        view: &now,
        transaction,
        served: &served,
        ip: visitor.arrived.peer,
    };
    let assessed = asked.assess(&identified);
    match now.decider.decide(&assessed.request) {
        Ok(_) => {
            let session = grip.session().id;
            let codes = &world.under_way.codes;
            let code = codes.issue(
                transaction.clone(),
                session,
                grip.generation(),
                visitor.chosen_language(),
                now.now,
            );
            Next::Leave(format!("{}/.latchkey/session?code={code}", transaction.origin()))
        }
        Err(denied) => {
            let ways = asked.ways(&assessed, &identified);
            match ways.is_empty() {
                true => Next::Nothing { denied },
                false => Next::Ask { denied, ways },
            }
        }
    }
}

/// What follows on the way to a page of one's own account.
fn after_for_account(visitor: &Visitor, page: AccountPage, grip: &Arc<Grip>) -> Next {
    if !page.manages() {
        return Next::Leave(page.path());
    }
    let now = visitor.world.view();
    let shown = Shown {
        certificate: None,
        assertion: None,
        session: Some(grip),
    };
    let Ok(identified) = identify(shown, &now.directory, now.now) else {
        return Next::Leave("/".to_owned());
    };
    let asked = AskedToManage {
        world: &visitor.world,
        view: &now,
        arrived: &visitor.arrived,
    };
    match asked.decide(&identified, page) {
        Ok(_) => Next::Leave(page.path()),
        Err(denied) => match asked.ways(&identified) {
            ways if ways.is_empty() => Next::Nothing { denied },
            ways => Next::Ask { denied, ways },
        },
    }
}

/// Whether proving more would open an application to somebody who stands as this request does.
pub(crate) fn more_would_help(
    world: &World,
    view: &View,
    transaction: &Transaction,
    served: &Arc<Served>,
    (identified, ip): (&Identified, std::net::IpAddr),
) -> bool {
    let asked = Asked {
        world,
        view,
        transaction,
        served,
        ip,
    };
    let assessed = asked.assess(identified);
    !asked.ways(&assessed, identified).is_empty()
}

/// Whether this device's being the one in use, and nothing else, would open the application with the session as it is.
pub(crate) fn device_alone_would_do(visitor: &Visitor, state: &State, device: DeviceProof) -> bool {
    let view = &visitor.view;
    let (Some(transaction), Some(identified)) = (state.transaction(), visitor.identified()) else {
        return false;
    };
    let Some(served) = served(view, transaction) else {
        return false;
    };
    let asked = Asked {
        world: &visitor.world,
        view,
        transaction,
        served: &served,
        ip: visitor.arrived.peer,
    };
    let assessed = asked.assess(identified);
    let Some((enrollment, known)) = device.counting(&view.directory) else {
        return false;
    };
    let facts = visitor.world.facts.device(&Judged::by(view), &known, &enrollment);
    let request = AccessRequest {
        device: Some(facts.facts.clone()),
        ages: Ages {
            device_proof: Some(view.now),
            mdm: facts.mdm_at,
            reported: facts.reported_at,
            ..assessed.request.ages
        },
        authenticator_installed: Some(true),
        ..assessed.request
    };
    view.decider.decide(&request).is_ok()
}

/// What could open the application to some user or other, before anybody said who they are.
pub(crate) fn openers(
    world: &World,
    view: &View,
    transaction: &Transaction,
    ip: std::net::IpAddr,
) -> Arc<[BTreeSet<Proves>]> {
    let Some(served) = served(view, transaction) else {
        return Arc::new([]);
    };
    let asked = Asked {
        world,
        view,
        transaction,
        served: &served,
        ip,
    };
    view.decider.openers(&served.facts, &asked.request())
}

/// What serving the application takes that a transaction leads to.
pub(crate) fn served(view: &View, transaction: &Transaction) -> Option<Arc<Served>> {
    let setup = &view.setup;
    let Some(Host::Applications(routes)) = setup.config.host(&transaction.host()) else {
        return None;
    };
    let application = routes.application_for(&matched_path(transaction.path(), routes.paths))?;
    setup
        .served(application)
        .filter(|served| served.application.name == transaction.application)
        .cloned()
}

/// The address of the page that asks for what is missing.
pub(crate) fn page_url(visitor: &Visitor, state: &State) -> String {
    format!("/sign-in/next?state={}", state.seal(&visitor.world.seal))
}

/// Opening an application, as a question.
struct Asked<'a> {
    world: &'a World,
    view: &'a View,
    transaction: &'a Transaction,
    served: &'a Arc<Served>,
    ip: std::net::IpAddr,
}

impl Asked<'_> {
    fn request(&self) -> RequestFacts {
        let host = self.transaction.host();
        let path = match self.view.setup.config.host(&host) {
            Some(Host::Applications(routes)) => matched_path(self.transaction.path(), routes.paths),
            _ => self.transaction.path().to_owned(),
        };
        let zones = self.view.setup.config.zones_of(self.ip).map(str::to_owned);
        RequestFacts {
            method: HttpMethod::GET.as_str().to_owned(),
            host,
            path,
            ip: self.ip,
            zones: zones.collect(),
        }
    }

    fn assess(&self, identified: &Identified) -> Assessed {
        let question = Question {
            action: Action::Read,
            request: self.request(),
        };
        assess(
            &self.world.facts,
            &Judged::by(self.view),
            question,
            self.served,
            identified,
        )
    }

    /// What the user could prove that would open it, the least first.
    fn ways(&self, assessed: &Assessed, identified: &Identified) -> Vec<BTreeSet<Proves>> {
        let Some(session) = &identified.session else {
            return Vec::new();
        };
        let Some(generation) = session.generation() else {
            return Vec::new();
        };
        let standing = Standing {
            user: &identified.user,
            proofs: &generation.proofs,
            begun: session.session.created,
            ages: assessed.request.ages,
            in_software: self.view.setup.config.sign_in.count_software_verification,
        };
        let remedies = remedies(self.world, self.view, &standing);
        let refused = Refused::Access(&assessed.request);
        let ways = self.view.decider.remedies(&refused, &remedies);
        let mut seen = BTreeSet::new();
        ways.into_iter()
            .map(|remedy| remedy.adds.clone())
            .filter(|adds| seen.insert(adds.clone()))
            .collect()
    }
}
