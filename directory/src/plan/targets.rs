//! How does the System Log name what a command is about?

use crate::{
    ApiToken, ApiTokenId, Authenticator, AuthenticatorId, Certificate, Command, Device, DeviceId, Enroll, Enrollment,
    EnrollmentId, EnrollmentToken, Fingerprint, Group, GroupId, ManagementCertificate, NewApiToken, NewDevice,
    NewEnrollmentToken, NewGroup, NewManagementCertificate, NewUser, Session, Settings, Snapshot, Target, TargetKind,
    User, UserId,
};

/// What a refused command was about, as far as that is known.
pub(super) fn of_command(snapshot: &Snapshot, command: &Command) -> Vec<Target> {
    match command {
        Command::CreateUser(new) => vec![new.into()],
        Command::UpdateUser { user, .. }
        | Command::ActivateUser(user)
        | Command::DeactivateUser(user)
        | Command::SuspendUser(user)
        | Command::UnsuspendUser(user)
        | Command::DeleteUser(user)
        | Command::ReleaseUser { user, .. }
        | Command::UseRelease(user) => vec![user_target(snapshot, *user)],
        Command::CreateGroup(new) => vec![new.into()],
        Command::UpdateGroup { group, .. } | Command::DeleteGroup(group) => vec![group_target(snapshot, *group)],
        Command::AddMember { group, user } | Command::RemoveMember { group, user } => {
            vec![group_target(snapshot, *group), user_target(snapshot, *user)]
        }
        Command::AddSubgroup { group, subgroup } | Command::RemoveSubgroup { group, subgroup } => {
            vec![group_target(snapshot, *group), group_target(snapshot, *subgroup)]
        }
        Command::UpdateDevice { device, .. }
        | Command::SuspendDevice(device)
        | Command::UnsuspendDevice(device)
        | Command::DeactivateDevice(device)
        | Command::ActivateDevice(device)
        | Command::DeleteDevice(device)
        | Command::WithdrawReport { device, .. } => vec![device_target(snapshot, *device)],
        Command::ReportDevice(report) => vec![device_target(snapshot, report.device)],
        Command::CreateEnrollmentToken(new) => vec![new.into(), user_target(snapshot, new.user)],
        Command::Enroll(enroll) => of_enroll(snapshot, enroll),
        Command::EndEnrollment(id) | Command::GiveUpEnrollment(id) | Command::ReportSuspicion(id) => {
            enrollment_targets(snapshot, *id)
        }
        Command::SetDeviceTotp { enrollment, .. } => enrollment_targets(snapshot, *enrollment),
        Command::TakeAnswer(answer) => enrollment_targets(snapshot, answer.enrollment),
        Command::IssueManagement { device, certificate } => {
            vec![Target::from(certificate), device_target(snapshot, *device)]
        }
        Command::RevokeManagement(fingerprint) => vec![nameless(TargetKind::ManagementCertificate, fingerprint)],
        Command::RenewCertificate(renew) => vec![certificate_target(snapshot, &renew.shown)],
        Command::SetPassword { user, .. } | Command::SetTotp { user, .. } | Command::SetRecoveryCodes { user, .. } => {
            vec![user_target(snapshot, *user)]
        }
        Command::AddWebauthn(new) => vec![user_target(snapshot, new.user)],
        Command::UseWebauthn(used) => authenticator_targets(snapshot, used.authenticator),
        Command::UseTotp { authenticator, .. }
        | Command::UseRecoveryCode { authenticator, .. }
        | Command::RenameWebauthn { authenticator, .. }
        | Command::RehashPassword { authenticator, .. }
        | Command::RemoveAuthenticator(authenticator)
        | Command::GiveUpAuthenticator(authenticator) => authenticator_targets(snapshot, *authenticator),
        Command::RecordFailure(failure) => match (failure.enrollment, failure.user) {
            (Some(enrollment), _) => enrollment_targets(snapshot, enrollment),
            (None, user) => user.map(|user| user_target(snapshot, user)).into_iter().collect(),
        },
        Command::FoundOrganization(id) => vec![nameless(TargetKind::Organization, id)],
        Command::UpdateFastPass(_) => snapshot
            .settings()
            .map(|settings| Target::from(&**settings))
            .into_iter()
            .collect(),
        Command::RevokeCertificate { fingerprint, .. }
        | Command::HoldCertificate(fingerprint)
        | Command::ReleaseCertificate(fingerprint) => vec![certificate_target(snapshot, fingerprint)],
        Command::CreateApiToken(new) => vec![new.into()],
        Command::RevokeApiToken(token) => vec![api_token_target(snapshot, *token)],
    }
}

fn of_enroll(snapshot: &Snapshot, enroll: &Enroll) -> Vec<Target> {
    let device = Target::from(&enroll.device);
    match snapshot.enrollment_token_by_secret(&enroll.secret) {
        Some(token) => vec![device, user_target(snapshot, token.user), Target::from(&**token)],
        None => vec![device],
    }
}

fn enrollment_targets(snapshot: &Snapshot, id: EnrollmentId) -> Vec<Target> {
    snapshot.enrollment(id).map_or_else(
        || vec![nameless(TargetKind::Enrollment, id)],
        |enrollment| {
            let (user, device) = (enrollment.user, enrollment.device);
            vec![
                Target::from(&*enrollment),
                user_target(snapshot, user),
                device_target(snapshot, device),
            ]
        },
    )
}

fn authenticator_targets(snapshot: &Snapshot, id: AuthenticatorId) -> Vec<Target> {
    snapshot.authenticator(id).map_or_else(
        || vec![nameless(TargetKind::Authenticator, id)],
        |known| vec![Target::from(&*known), user_target(snapshot, known.user)],
    )
}

pub(super) fn user_target(snapshot: &Snapshot, id: UserId) -> Target {
    snapshot
        .user(id)
        .map_or_else(|| nameless(TargetKind::User, id), |user| Target::from(&*user))
}

fn group_target(snapshot: &Snapshot, id: GroupId) -> Target {
    snapshot
        .group(id)
        .map_or_else(|| nameless(TargetKind::Group, id), |group| Target::from(&**group))
}

pub(super) fn device_target(snapshot: &Snapshot, id: DeviceId) -> Target {
    snapshot
        .device(id)
        .map_or_else(|| nameless(TargetKind::Device, id), |device| Target::from(&*device))
}

fn certificate_target(snapshot: &Snapshot, fingerprint: &Fingerprint) -> Target {
    let known = snapshot.certificate(fingerprint);
    known.map_or_else(
        || nameless(TargetKind::Certificate, fingerprint),
        |certificate| Target::from(&*certificate),
    )
}

fn api_token_target(snapshot: &Snapshot, id: ApiTokenId) -> Target {
    snapshot
        .api_token(id)
        .map_or_else(|| nameless(TargetKind::ApiToken, id), |token| Target::from(&**token))
}

fn nameless(kind: TargetKind, id: impl ToString) -> Target {
    Target {
        id: id.to_string(),
        kind,
        display_name: String::new(),
    }
}

impl From<&Authenticator> for Target {
    fn from(authenticator: &Authenticator) -> Self {
        Self {
            id: authenticator.id.to_string(),
            kind: TargetKind::Authenticator,
            display_name: authenticator.kind.as_str().to_owned(),
        }
    }
}

macro_rules! target {
    ($($record:ident: $kind:ident, $id:ident, $display_name:ident;)+) => {
        $(impl From<&$record> for Target {
            fn from(record: &$record) -> Self {
                Self {
                    id: record.$id.to_string(),
                    kind: TargetKind::$kind,
                    display_name: record.$display_name.to_string(),
                }
            }
        })+
    };
}

target! {
    User: User, id, login;
    NewUser: User, id, login;
    Group: Group, id, name;
    NewGroup: Group, id, name;
    Device: Device, id, name;
    NewDevice: Device, id, name;
    Enrollment: Enrollment, id, key;
    Certificate: Certificate, fingerprint, serial;
    EnrollmentToken: EnrollmentToken, id, id;
    NewEnrollmentToken: EnrollmentToken, id, id;
    ApiToken: ApiToken, id, name;
    ManagementCertificate: ManagementCertificate, fingerprint, serial;
    NewManagementCertificate: ManagementCertificate, fingerprint, serial;
    Settings: Organization, organization, organization;
    Session: Session, id, id;
    NewApiToken: ApiToken, id, name;
}
