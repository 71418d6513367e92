//! How do users, devices and the like look in an answer? As known scripts expect, with fields of our own beside.

use std::sync::Arc;

use device_checks::DeviceSignals;
use directory::{
    ApiToken, Certificate, CertificateState, Device, DeviceId, DeviceState, Enrollment, EnrollmentState, Event, Group,
    ManagementCertificate, MdmReport, Outcome, Platform, Snapshot, Timestamp, User, UserStatus,
};
use serde_json::{Value, json};

use crate::device_trust::DeviceTrust;

use crate::api_error::ApiError;

/// The directory at one moment, as answers show it.
pub(super) struct View {
    /// The directory.
    pub(super) snapshot: Arc<Snapshot>,
    /// The moment.
    pub(super) now: Timestamp,
    /// Whom the gateway believes about devices.
    pub(super) trust: Arc<DeviceTrust>,
}

impl View {
    /// A device. Scripts know no Linux and no ChromeOS: such a device has no `profile`.
    pub(super) fn device(&self, device: &Device) -> Value {
        let registered = self.is_registered(device);
        let signals = self.signals(device);
        let attested = device
            .hardware
            .as_ref()
            .and_then(|hardware| self.trust.attested(hardware, self.now));
        let said = device.reported.as_ref();
        let present = signals.secure_hardware || said.is_some_and(|said| said.posture.secure_hardware == Some(true));
        let accounts: Vec<Value> = self
            .snapshot
            .enrollments_of_device(device.id)
            .map(|enrollment| self.account(&enrollment, signals.secure_hardware))
            .collect();
        let users: Vec<String> = self
            .snapshot
            .users_of_device(device.id)
            .map(|user| user.login.clone())
            .collect();
        let reports: Vec<Value> = self
            .snapshot
            .reports_of_device(device.id)
            .map(|report| self.report(report))
            .collect();
        let live = |certificate: &Arc<Certificate>| {
            certificate.state == CertificateState::Live && self.now <= certificate.not_after
        };
        let mut shape = json!({
            "id": device.id,
            "status": device_status(device.state),
            "created": time(device.created),
            "lastUpdated": time(device.updated),
            "resourceType": "UDDevice",
            "resourceDisplayName": { "value": device.name, "sensitive": false },
            "resourceAlternateId": null,
            "resourceId": device.id,
            "name": device.name,
            "platform": device.platform,
            "registered": registered,
            "managed": if signals.managed { "managed" } else { "not_managed" },
            "ownership": device.ownership,
            "groups": device.groups,
            "tags": device.tags,
            "users": users,
            "reports": reports,
            "secureHardwarePresent": present,
            "secureHardware": signals.secure_hardware,
            "attestation": device.hardware.as_ref().map(|hardware| json!({
                "hardware": hardware.id,
                "rootClass": attested.map(|attested| attested.class),
                "counts": attested.is_some_and(|attested| attested.counts),
                "proved": time(hardware.at),
            })),
            "reported": said.map(|said| json!({
                "posture": said.posture,
                "kernel": said.kernel,
                "serial": said.serial,
                "tpmVersion": said.tpm_version,
                "at": time(said.at),
            })),
            "managementCertificates": self.snapshot.management_of_device(device.id)
                .map(|certificate| management_certificate(certificate))
                .collect::<Vec<_>>(),
            "enrollments": accounts,
            "certificates": self.snapshot.certificates_of_device(device.id).filter(live).count(),
        });
        if let (Some(platform), Some(members)) = (known_platform(device.platform), shape.as_object_mut()) {
            let profile = json!({
                "displayName": device.name,
                "platform": platform,
                "registered": registered,
                "secureHardwarePresent": present,
            });
            members.insert("profile".to_owned(), profile);
        }
        shape
    }

    /// A user who is linked to a device.
    pub(super) fn device_user(&self, device: &Device, user: &User) -> Value {
        json!({
            "created": self.linked(device.id, user),
            "managementStatus": if self.signals(device).managed { "MANAGED" } else { "NOT_MANAGED" },
            "user": self.user(user),
        })
    }

    /// A device that is linked to a user.
    pub(super) fn user_device(&self, user: &User, device: &Device) -> Value {
        json!({ "created": self.linked(device.id, user), "deviceUserId": user.id, "device": self.device(device) })
    }

    /// A user.
    pub(super) fn user(&self, user: &User) -> Value {
        let mut profile = json!({ "login": user.login, "email": user.email, "userType": user.user_type });
        for (name, value) in [("firstName", &user.first_name), ("lastName", &user.last_name)] {
            if let Some(members) = profile.as_object_mut().filter(|_| !value.is_empty()) {
                members.insert(name.to_owned(), json!(value));
            }
        }
        json!({
            "id": user.id,
            "status": user_status(user.status),
            "created": time(user.created),
            "lastUpdated": time(user.updated),
            "profile": profile,
            "groups": self.group_names(&user.groups),
            "tags": user.tags,
            "releaseEnds": user.released(self.now).map(|release| time(release.ends)),
        })
    }

    /// A group.
    pub(super) fn group(&self, group: &Group) -> Value {
        json!({
            "id": group.id,
            "created": time(group.created),
            "lastUpdated": time(group.updated),
            "objectClass": ["okta:user_group"],
            "type": "OKTA_GROUP",
            "profile": { "name": group.name, "description": group.description },
            "members": self.snapshot.members(group.id).count(),
            "parents": self.group_names(&group.parents),
        })
    }

    /// A certificate.
    pub(super) fn certificate(&self, certificate: &Certificate) -> Value {
        let enrollment = self.snapshot.enrollment(certificate.enrollment);
        let user = enrollment.and_then(|enrollment| self.snapshot.user(enrollment.user));
        let (status, since, reason) = match certificate.state {
            CertificateState::Live if self.now > certificate.not_after => ("EXPIRED", None, None),
            CertificateState::Live => ("LIVE", None, None),
            CertificateState::Held { at, cause } => ("HELD", Some(at), Some(json!(cause))),
            CertificateState::Revoked { at, reason } => ("REVOKED", Some(at), Some(json!(reason))),
        };
        json!({
            "fingerprint": certificate.fingerprint,
            "serial": certificate.serial,
            "issuer": certificate.issuer,
            "status": status,
            "since": since.map(time),
            "reason": reason,
            "device": certificate.device,
            "deviceName": self.snapshot.device(certificate.device).map(|device| device.name.clone()),
            "user": user.map(|user| user.login.clone()),
            "enrollment": certificate.enrollment,
            "notBefore": time(certificate.not_before),
            "notAfter": time(certificate.not_after),
        })
    }

    /// What an MDM said of a device.
    pub(super) fn report(&self, report: &MdmReport) -> Value {
        json!({
            "source": report.source,
            "managed": report.managed,
            "posture": report.posture,
            "certificate": report.certificate,
            "at": time(report.at),
            "ends": time(report.ends),
        })
    }

    /// An API token, without its secret.
    pub(super) fn api_token(&self, token: &ApiToken) -> Value {
        let status = match token.revoked {
            Some(_) => "REVOKED",
            None if self.now < token.ends => "ACTIVE",
            None => "ENDED",
        };
        json!({
            "id": token.id,
            "name": token.name,
            "status": status,
            "scopes": token.scopes,
            "networks": token.networks,
            "created": time(token.created),
            "ends": time(token.ends),
            "revoked": token.revoked.map(time),
            "demo": token.demo,
        })
    }

    /// The user with this id or login.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn find_user(&self, name: &str) -> Result<Arc<User>, ApiError> {
        let by_id = name.parse().ok().and_then(|id| self.snapshot.user(id));
        by_id
            .or_else(|| self.snapshot.user_by_login(name))
            .ok_or_else(|| ApiError::not_found("user", name))
    }

    /// The device with this id.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn find_device(&self, id: &str) -> Result<Arc<Device>, ApiError> {
        let device = id.parse().ok().and_then(|id| self.snapshot.device(id));
        device.ok_or_else(|| ApiError::not_found("device", id))
    }

    /// The group with this id.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn find_group(&self, id: &str) -> Result<&Arc<Group>, ApiError> {
        let group = id.parse().ok().and_then(|id| self.snapshot.group(id));
        group.ok_or_else(|| ApiError::not_found("group", id))
    }

    /// The certificate with this fingerprint.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn find_certificate(&self, fingerprint: &str) -> Result<Arc<Certificate>, ApiError> {
        let certificate = fingerprint
            .parse()
            .ok()
            .and_then(|fingerprint| self.snapshot.certificate(&fingerprint));
        certificate.ok_or_else(|| ApiError::not_found("certificate", fingerprint))
    }

    /// Whether the key of some active enrolment could prove the device now.
    fn is_registered(&self, device: &Device) -> bool {
        let active = |enrollment: Arc<Enrollment>| enrollment.state == EnrollmentState::Active;
        device.state == DeviceState::Active && self.snapshot.enrollments_of_device(device.id).any(active)
    }

    /// What a request from this device would be judged by, whichever account it were by.
    fn signals(&self, device: &Device) -> DeviceSignals {
        DeviceSignals::of(&self.trust.on_record(&self.snapshot, device, None, self.now), self.now)
    }

    /// One user's account on a device.
    fn account(&self, enrollment: &Enrollment, secure_hardware: bool) -> Value {
        let user = self.snapshot.user(enrollment.user);
        let in_hardware = secure_hardware && enrollment.hardware_key;
        let verification = enrollment.verification.as_ref();
        json!({
            "id": enrollment.id,
            "user": user.map(|user| user.login.clone()),
            "status": enrollment.state.as_str().to_uppercase(),
            "created": time(enrollment.created),
            "methods": enrollment.methods,
            "instance": enrollment.instance,
            "key": enrollment.key,
            "keyStore": enrollment.key_store,
            "keyProtection": if in_hardware { "HARDWARE" } else { "SOFTWARE" },
            "userVerification": verification.map(|verification| json!({
                "key": verification.key.thumbprint(),
                "method": verification.method,
                "enforcedBy": if secure_hardware && verification.hardware { "HARDWARE" } else { "SOFTWARE" },
            })),
        })
    }

    /// Since when a user is linked to a device.
    fn linked(&self, device: DeviceId, user: &User) -> Option<String> {
        let links = self
            .snapshot
            .enrollments_of_device(device)
            .filter(|link| link.user == user.id && link.state.is_link());
        links.map(|link| link.created).min().map(time)
    }

    fn group_names<'a>(&'a self, ids: impl IntoIterator<Item = &'a directory::GroupId>) -> Vec<&'a str> {
        ids.into_iter()
            .filter_map(|id| self.snapshot.group(*id))
            .map(|group| group.name.as_str())
            .collect()
    }
}

/// A management certificate that a device showed.
pub(super) fn management_certificate(certificate: &ManagementCertificate) -> Value {
    json!({
        "fingerprint": certificate.fingerprint,
        "serial": certificate.serial,
        "issuer": certificate.issuer,
        "device": certificate.device,
        "status": certificate.state.as_str().to_uppercase(),
        "bound": time(certificate.bound),
        "notAfter": time(certificate.not_after),
    })
}

/// A line of the System Log.
pub(super) fn event(event: &Event) -> Value {
    let (result, reason) = match &event.outcome {
        Outcome::Success => ("SUCCESS", None),
        Outcome::Failure { reason } => ("FAILURE", Some(reason)),
    };
    let targets = event.targets.iter().map(|target| {
        json!({
            "id": target.id,
            "type": target.kind,
            "alternateId": target.display_name,
            "displayName": target.display_name,
        })
    });
    json!({
        "uuid": event.id,
        "published": time(event.published),
        "eventType": event.event_type,
        "version": "0",
        "severity": event.severity,
        "outcome": { "result": result, "reason": reason },
        "actor": {
            "id": event.actor.id,
            "type": event.actor.kind,
            "alternateId": event.actor.display_name,
            "displayName": event.actor.display_name,
        },
        "client": { "ipAddress": event.actor.address },
        "target": targets.collect::<Vec<_>>(),
        "transaction": { "id": event.transaction, "type": "WEB" },
        "debugContext": { "debugData": event.details },
    })
}

/// A device's status, as scripts know it.
pub(super) const fn device_status(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Active => "ACTIVE",
        DeviceState::Suspended { .. } => "SUSPENDED",
        DeviceState::Deactivated { .. } => "DEACTIVATED",
    }
}

/// A user's status, as scripts know it.
pub(super) const fn user_status(status: UserStatus) -> &'static str {
    match status {
        UserStatus::Active => "ACTIVE",
        UserStatus::Suspended { .. } => "SUSPENDED",
        UserStatus::Deactivated { .. } => "DEPROVISIONED",
    }
}

/// The platforms that scripts know; one unknown word breaks a whole list for them.
const fn known_platform(platform: Platform) -> Option<&'static str> {
    match platform {
        Platform::Macos => Some("MACOS"),
        Platform::Windows => Some("WINDOWS"),
        Platform::Ios => Some("IOS"),
        Platform::Android => Some("ANDROID"),
        Platform::Linux | Platform::Chromeos => None,
    }
}

/// RFC 3339, in UTC.
pub(super) fn time(at: Timestamp) -> String {
    at.to_string()
}
