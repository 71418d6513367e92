//! What does a decision cost? Thread CPU time: remembered, evaluated, and by the whole set without slices.
//!
//! 10 global policies and 990 over 100 applications; 10,000 devices, one for each user.

#![allow(clippy::print_stdout, reason = "a bench prints its table")]
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a bench fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use directory::{DeviceId, KeyStore, Ownership, Platform, Posture, Revision, Timestamp, UserId};
use policies::reference::Question;
use policies::{
    AccessRequest, Action, Ages, AppFacts, CacheLimits, Decider, DeviceFacts, PolicyFile, PolicySet, Proof,
    RequestFacts, UserFacts,
};

fn main() {
    let policies = Arc::new(PolicySet::load(&files()).expect("valid policies"));
    let apps: Vec<Arc<AppFacts>> = (0..APPS).map(app).collect();
    let people: Vec<(Arc<UserFacts>, Arc<DeviceFacts>)> = (0..DEVICES).map(person).collect();
    let request = |number: usize| request(&people[number % DEVICES], &apps[number % APPS], number);
    let remembering = Decider::new(Arc::clone(&policies), CacheLimits::default());
    let forgetting = Decider::new(
        Arc::clone(&policies),
        CacheLimits {
            decisions: 0,
            ..CacheLimits::default()
        },
    );
    for number in 0..DEVICES {
        let _ = (
            remembering.decide(&request(number)),
            forgetting.decide(&request(number)),
        );
    }

    let [mut cached, mut evaluated, mut whole] = [const { Vec::<u64>::new() }; 3];
    for round in 0..ROUNDS {
        for number in 0..DEVICES {
            let asked = request(number);
            cached.push(cost(|| remembering.decide(&asked).is_ok()));
            if number % 10 == round {
                evaluated.push(cost(|| forgetting.decide(&asked).is_ok()));
            }
            if number % 200 == round {
                let question = Question::of(&asked).expect("facts that fit the schema");
                whole.push(cost(|| question.ask(&policies).is_ok()));
            }
        }
    }

    let mut clock: Vec<u64> = (0..DEVICES).map(|_| cost(|| true)).collect();
    println!("thread CPU time, µs                           p50        p99        max    decisions");
    row(("reading the clock, in all of these", &mut clock));
    let [_, evaluated_p50] = [("remembered", &mut cached), ("evaluated, by its slice", &mut evaluated)].map(row);
    let whole_p50 = row(("is_authorized, whole set", &mut whole));
    println!("whole set ÷ evaluated, at p50: {:.1}", whole_p50 / evaluated_p50);
}

/// Nanoseconds of this thread's CPU time.
fn cost(work: impl FnOnce() -> bool) -> u64 {
    let before = thread_time();
    std::hint::black_box(work());
    thread_time() - before
}

#[expect(unsafe_code, reason = "the standard library has no clock for a thread's CPU time")]
fn thread_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of ours that lives through the call.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(answer, 0, "a clock every Linux has");
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Prints a row and gives its median in µs.
fn row((name, costs): (&str, &mut Vec<u64>)) -> f64 {
    costs.sort_unstable();
    let micros = |part: usize| costs[(costs.len() - 1) * part / 1000] as f64 / 1000.0;
    println!(
        "{name:36} {:10.2} {:10.2} {:10.2} {:12}",
        micros(500),
        micros(990),
        micros(1000),
        costs.len()
    );
    micros(500)
}

fn files() -> Vec<PolicyFile> {
    let global = (0..10).map(|number| {
        format!(
            "@id(\"global.{number}\") forbid (principal, action in Action::\"access\", resource)
             when {{ context has device && context.device has mdm && context.device.mdm has jailbroken &&
                     context.device.mdm.jailbroken && resource.sensitivity > {number} }};"
        )
    });
    let of_app = |app: usize| {
        let scope = format!("principal is User, action in Action::\"access\", resource == App::\"app{app}\"");
        let permit = format!("@id(\"app{app}.permit\") permit ({scope});");
        let few = [
            format!("@id(\"app{app}.group\") forbid ({scope}) unless {{ principal in Group::\"employees\" }};"),
            format!(
                "@id(\"app{app}.managed\") forbid ({scope}) unless {{ context has device && context.device.managed }};"
            ),
            format!(
                "@id(\"app{app}.fresh\") forbid ({scope}) unless {{
                    context has proof || (context.age has deviceProof && context.age.deviceProof < 900) }};"
            ),
            format!(
                "@id(\"app{app}.admin\") forbid ({scope}) when {{
                    context.request.path == \"/admin\" || context.request.path like \"/admin/*\" }}
                    unless {{ principal in Group::\"admins\" }};"
            ),
        ];
        let rest = (4..9).filter(move |number| *number < 8 || !app.is_multiple_of(10)).map(move |number| {
            format!(
                "@id(\"app{app}.{number}\") forbid (principal is User, action in Action::\"access\", resource == App::\"app{app}\")
                 unless {{ principal in Group::\"group{number}\" || context has device && context.device.registered }};"
            )
        });
        [permit].into_iter().chain(few).chain(rest).collect::<Vec<_>>()
    };
    let text: Vec<String> = global.chain((0..APPS).flat_map(of_app)).collect();
    assert_eq!(text.len(), 1_000);
    vec![PolicyFile {
        name: "bench.cedar".into(),
        text: text.join("\n"),
    }]
}

fn app(number: usize) -> Arc<AppFacts> {
    let (groups, tags) = (BTreeSet::new(), Default::default());
    Arc::new(AppFacts {
        name: format!("app{number}"),
        sensitivity: 2,
        groups,
        tags,
    })
}

fn person(number: usize) -> (Arc<UserFacts>, Arc<DeviceFacts>) {
    let id = number as u128;
    let user = UserFacts {
        id: UserId::from_random(id),
        user_type: "employee".into(),
        email: format!("user{number}@example.com"),
        groups: (0..22)
            .map(|group| format!("group{group}"))
            .chain(["employees".to_owned()])
            .collect(),
        tags: [("costCenter".to_owned(), BTreeSet::from(["4711".to_owned()]))].into(),
        version: Revision(1),
    };
    let device = DeviceFacts {
        id: DeviceId::from_random(id),
        registered: true,
        managed: !number.is_multiple_of(10),
        secure_hardware: false,
        hardware_key: false,
        key_store: KeyStore::Software,
        platform: Platform::Linux,
        ownership: Ownership::Corporate,
        mdm: Some(Posture {
            disk_encrypted: Some(true),
            jailbroken: Some(false),
            ..Posture::default()
        }),
        reported: Posture::default(),
        groups: BTreeSet::from(["laptops".to_owned()]),
        tags: Default::default(),
        assurance: BTreeSet::from(["standard".to_owned()]),
        version: Revision(1),
    };
    (Arc::new(user), Arc::new(device))
}

fn request((user, device): &(Arc<UserFacts>, Arc<DeviceFacts>), app: &Arc<AppFacts>, number: usize) -> AccessRequest {
    let now = Timestamp::from_secs(1_795_000_000);
    AccessRequest {
        user: Arc::clone(user),
        device: Some(Arc::clone(device)),
        session: None,
        app: Arc::clone(app),
        action: Action::Read,
        request: RequestFacts {
            method: "GET".into(),
            host: "app.example.com".into(),
            path: format!("/documents/{number}"),
            ip: [10, 0, 0, 1].into(),
            zones: Arc::from(["office".to_owned()]),
        },
        ages: Ages {
            device_proof: Some(now),
            ..Ages::default()
        },
        proof: Some(Proof {
            device: device.id,
            hardware: false,
            channel_bound: true,
            user_verified: false,
            user_verified_in_software: false,
        }),
        risk: 0,
        authenticator_installed: None,
        now,
        fact_ends: None,
    }
}

const APPS: usize = 100;
const DEVICES: usize = 10_000;
const ROUNDS: usize = 5;
