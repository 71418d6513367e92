//! Which devices does somebody have, and what do they do with them? Look at what is known, rename, give up.

use std::sync::Arc;

use axum::Form;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use directory::{
    Command, Device, DeviceId, DeviceState, DeviceUpdate, Enrollment, EnrollmentId, Method, Posture, Refusal,
};
use http::StatusCode;
use serde::Deserialize;

use super::{Arrival, done, identified_or_sign_in, nothing_there, sealed, sent_from};
use crate::api_error::ApiError;
use crate::auth::manage::{AccountPage, manage_or_refuse, manage_or_step_up};
use crate::auth::sign_in::{Visitor, device_line};
use crate::pages::{self, AccountDevice, ConfirmRemoval, DevicesPage, Moment, Texts, Verified};
use crate::sign_in::actor_of;
use crate::store::SubmitError;

/// The devices, as the gateway knows them.
pub(super) async fn show(visitor: Visitor, Query(arrival): Query<Arrival>) -> Response {
    let identified = match identified_or_sign_in(&visitor, AccountPage::Devices).await {
        Ok(identified) => identified,
        Err(answer) => return answer,
    };
    let directory = &visitor.view.directory;
    let known: Vec<_> = directory.devices_of_user(identified.user.id).collect();
    let devices = known.iter().filter_map(|device| {
        let account = accounts_on(&visitor, device.id).into_iter().next()?;
        Some(shown(&visitor, device, &account))
    });
    let state = sealed(&visitor, AccountPage::Devices);
    let page = DevicesPage {
        shell: visitor.shell(),
        state: &state,
        notice: arrival.notice(&visitor),
        devices: devices.collect(),
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

fn shown<'a>(visitor: &'a Visitor, device: &'a Device, enrollment: &Enrollment) -> AccountDevice<'a> {
    let view = &visitor.view;
    let known = view
        .setup
        .trust
        .on_record(&view.directory, device, Some(enrollment), view.now);
    let signals = device_checks::DeviceSignals::of(&known, view.now);
    AccountDevice {
        id: enrollment.id.to_string(),
        line: device_line(visitor, device),
        secure_hardware: signals.secure_hardware,
        hardware_key: signals.hardware_key,
        verified: match &enrollment.verification {
            Some(verification) if verification.hardware && signals.secure_hardware => Verified::InHardware,
            Some(verification) => Verified::InSoftware(verification.method),
            None => Verified::Never,
        },
        enrolled: Moment(enrollment.created),
        posture: posture(visitor.shell().texts, &signals.reported),
        reported: signals.reported_at.map(Moment),
    }
}

/// What a device said of itself, as far as it said anything.
fn posture(texts: &'static Texts, said: &Posture) -> Vec<(&'static str, &'static str)> {
    let texts = &texts.devices;
    let word = |yes: bool| if yes { texts.on } else { texts.off };
    let known = [
        (texts.disk, said.disk_encrypted),
        (texts.lock, said.screen_lock),
        (texts.firewall, said.firewall),
        (texts.boot, said.secure_boot),
        (texts.antivirus, said.antivirus),
    ];
    known
        .into_iter()
        .filter_map(|(what, said)| Some((what, word(said?))))
        .collect()
}

#[derive(Deserialize)]
pub(super) struct Rename {
    state: String,
    id: EnrollmentId,
    name: String,
}

/// Calls a device something else. That proves nothing and takes nothing but a session.
pub(super) async fn rename(mut visitor: Visitor, Form(form): Form<Rename>) -> Response {
    if let Err(answer) = sent_from(&mut visitor, &form.state, AccountPage::Devices) {
        return answer;
    }
    let (Some(identified), Some((enrollment, device))) = (visitor.identified(), own(&visitor, form.id)) else {
        return nothing_there(&visitor, AccountPage::Devices);
    };
    let back = AccountPage::Devices.path();
    if device.state != DeviceState::Active {
        return done(&visitor, &back, "shut-out");
    }
    let command = Command::UpdateDevice {
        device: enrollment.device,
        update: DeviceUpdate {
            name: Some(form.name.trim().to_owned()),
            ..DeviceUpdate::default()
        },
    };
    let actor = actor_of(&identified.user, visitor.arrived.peer);
    match visitor.world.directory.submit(command, actor, Vec::new()).await {
        Ok(_) => done(&visitor, &back, "renamed"),
        Err(SubmitError::Refused(_)) => done(&visitor, &back, "bad-name"),
        Err(error) => ApiError::from(error).into_response(),
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    id: EnrollmentId,
}

/// Asks whether the account on a device is to go, once that may be.
pub(super) async fn ask_to_remove(visitor: Visitor, Query(Which { id }): Query<Which>) -> Response {
    let page = AccountPage::RemoveDevice(id);
    if let Err(answer) = identified_or_sign_in(&visitor, page).await {
        return answer;
    }
    let Some((_, device)) = own(&visitor, id) else {
        return nothing_there(&visitor, AccountPage::Devices);
    };
    if device.state != DeviceState::Active {
        return done(&visitor, &AccountPage::Devices.path(), "shut-out");
    }
    if let Err(answer) = manage_or_step_up(&visitor, page) {
        return answer;
    }
    let (state, id) = (sealed(&visitor, page), id.to_string());
    let texts = &visitor.shell().texts.devices;
    let page = ConfirmRemoval {
        shell: visitor.shell(),
        state: &state,
        id: &id,
        what: &device.name,
        consequence: texts.consequence,
        action: "/account/devices/remove",
        back: "/account/devices",
    };
    visitor.answer(pages::respond(StatusCode::OK, &page))
}

#[derive(Deserialize)]
pub(super) struct Remove {
    state: String,
    id: EnrollmentId,
}

/// Gives up whatever accounts the user has on a device: their keys and certificates count no longer.
pub(super) async fn remove(mut visitor: Visitor, Form(form): Form<Remove>) -> Response {
    let page = AccountPage::RemoveDevice(form.id);
    if let Err(answer) = sent_from(&mut visitor, &form.state, page) {
        return answer;
    }
    let Some(device) = own(&visitor, form.id).map(|(_, device)| device.id) else {
        return nothing_there(&visitor, AccountPage::Devices);
    };
    let may = match manage_or_refuse(&visitor, page) {
        Ok(may) => may,
        Err(answer) => return answer,
    };
    let actor = match may.actor(&visitor).await {
        Ok(actor) => actor,
        Err(error) => return error.into_response(),
    };
    let back = AccountPage::Devices.path();
    for account in accounts_on(&visitor, device) {
        let command = Command::GiveUpEnrollment(account.id);
        match visitor.world.directory.submit(command, actor.clone(), Vec::new()).await {
            Ok(_) => {}
            Err(SubmitError::Refused(refused)) if refused.reason == Refusal::LastFactor => {
                return done(&visitor, &back, "last");
            }
            Err(SubmitError::Refused(_)) => return done(&visitor, &back, "shut-out"),
            Err(error) => return ApiError::from(error).into_response(),
        }
    }
    done(&visitor, &back, "removed")
}

/// The accounts of whoever is signed in on a device: the one that signs in first, then the newest.
fn accounts_on(visitor: &Visitor, device: DeviceId) -> Vec<Arc<Enrollment>> {
    let Some(identified) = visitor.identified() else {
        return Vec::new();
    };
    let accounts = visitor.view.directory.enrollments_of_device(device);
    let own = accounts.filter(|account| account.user == identified.user.id && account.state.is_link());
    let mut own: Vec<_> = own.collect();
    own.sort_by_key(|account| {
        let signs_in = account.methods.contains(&Method::SignedNonce);
        std::cmp::Reverse((signs_in, account.created))
    });
    own
}

/// An account of whoever is signed in, and its device.
fn own(visitor: &Visitor, id: EnrollmentId) -> Option<(Arc<Enrollment>, Arc<Device>)> {
    let directory = &visitor.view.directory;
    let user = visitor.identified()?.user.id;
    let enrollment = directory.enrollment(id)?;
    let device = directory.device(enrollment.device)?;
    (enrollment.user == user && enrollment.state.is_link()).then_some((enrollment, device))
}
