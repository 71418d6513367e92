//! Which policies ask something of the device? While there is one, the way a device proves itself cannot be switched off;
//! where there is none, no device is probed.

use crate::Age;
use crate::facts::{Action, AppFacts};
use crate::reads::{Field, Reads};
use crate::schema::Kind;
use crate::set::{Known, PolicyId, PolicySet};
use crate::slice::{fits_action, fits_app, fits_some_app};

impl PolicySet {
    /// The policies on applications that read the device, its proof, a session's device or the age of any of these, in
    /// order. A policy that is not understood counts as one that does.
    pub fn policies_reading_device(&self) -> Vec<PolicyId> {
        let known = self.known().iter();
        known
            .filter(|(_, known)| decides_access(known) && reads_device(&known.reads))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Whether a policy that can matter to any access to the application looks at the device, or at whether its
    /// authenticator answers: only then is there a reason to probe it. A policy that is not understood counts as one.
    pub fn reads_device(&self, app: &AppFacts) -> bool {
        let looks = |reads: &Reads| reads_device(reads) || reads.needs(Field::Authenticator);
        self.deciding_access_to(app).any(|known| looks(&known.reads))
    }

    /// Whether a policy that can matter to any access to the application looks at the risk.
    pub fn reads_risk(&self, app: &AppFacts) -> bool {
        self.deciding_access_to(app).any(|known| known.reads.needs(Field::Risk))
    }

    fn deciding_access_to(&self, app: &AppFacts) -> impl Iterator<Item = &Known> {
        let known = self.known().values();
        known.filter(move |known| decides_access(known) && fits_app(&known.policy.resource_constraint(), app))
    }
}

fn decides_access(known: &Known) -> bool {
    let action = known.policy.action_constraint();
    let fits = |one: Action| fits_action(&action, &Kind::Action.named(one.as_str()));
    Action::ALL.into_iter().any(fits) && fits_some_app(&known.policy.resource_constraint())
}

fn reads_device(reads: &Reads) -> bool {
    OF_THE_DEVICE.into_iter().any(|field| reads.needs(field))
}

const OF_THE_DEVICE: [Field; 7] = [
    Field::Device,
    Field::Proof,
    Field::DeviceOfSession,
    Field::Age(Age::Device),
    Field::Age(Age::DeviceProof),
    Field::Age(Age::Mdm),
    Field::Age(Age::Reported),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PolicyFile;

    /// E-23: which policies have a device condition, and so keep FastPass switched on. Control: those that have none.
    #[test]
    fn the_policies_with_a_device_condition_are_named_and_no_others() {
        let set = load(
            r#"
            @id("device") forbid (principal, action in Action::"access", resource) unless { context has device };
            @id("proof") permit (principal, action == Action::"write", resource == App::"a") when { context has proof };
            @id("factor") permit (principal, action in Action::"access", resource == App::"a")
                when { context has session && context.session has device };
            @id("age") permit (principal, action in Action::"access", resource in AppGroup::"g")
                when { context.age has deviceProof && context.age.deviceProof < 900 };
            @id("everything") permit (principal, action in Action::"access", resource is App)
                when { context == context };
            @id("anybody") permit (principal, action in Action::"access", resource == App::"a");
            @id("password") permit (principal, action in Action::"access", resource == App::"a")
                when { context has session && context.session has knowledge && context.age has knowledge };
            @id("sign-in") permit (principal, action == Action::"createSession", resource) when { context has device };
            @id("organization") permit (principal, action, resource is Organization) when { context == context };
            @id("assurance") permit (principal, action == Action::"assure", resource) when { context has mdmAge };
            "#,
        );

        let ids: Vec<String> = set.policies_reading_device().iter().map(ToString::to_string).collect();

        assert_eq!(ids, ["age", "device", "everything", "factor", "proof"]);
    }

    fn load(text: &str) -> PolicySet {
        PolicySet::load(&[PolicyFile {
            name: "test.cedar".into(),
            text: text.into(),
        }])
        .unwrap()
    }
}
