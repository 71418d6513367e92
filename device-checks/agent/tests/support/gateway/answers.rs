//! What the gateway answers to each step, once it has checked it.

use super::*;

pub(super) type Reply = Result<(u16, Value), (u16, &'static str)>;

pub(super) fn answer(world: &World, request: &Request) -> Reply {
    let behaviour = world.behaviour.lock().unwrap().clone();
    let path = request.path.split('?').next().unwrap();
    if let Some((refused, status, code)) = behaviour.refuses
        && path.starts_with(refused)
    {
        return Err((status, code));
    }
    let mut known = world.known.lock().unwrap();
    let known = &mut *known;
    match (request.method.as_str(), path) {
        ("GET", ORGANIZATION_PATH) => reply(&organization(world, &behaviour)),
        ("POST", AUTHENTICATE_PATH) => {
            let body: Authenticate = request.json();
            check_instance(world, request, &body.instance_key, None)?;
            authenticate(&body, &behaviour)
        }
        ("POST", BEGIN_PATH) => {
            let body: Begin = request.json();
            check_instance(world, request, &body.instance_key, Some(TOKEN))?;
            known.instance = Some(body.instance_key);
            let begun = begun(&body.statement, &behaviour);
            known.begun = Some(body);
            reply(&begun)
        }
        ("POST", ACTIVATE_PATH) => {
            check_instance(world, request, &known.instance.unwrap(), Some(TOKEN))?;
            let body: Activate = request.json();
            known.activated = body.secret.0 == SECRET;
            reply(&Activated {
                root_class: RootClass::Test,
                attested: known.activated,
            })
        }
        ("POST", FINISH_PATH) => finish(world, request, &behaviour, known),
        ("POST", RECOVER_PATH) => {
            let body: Recover = request.json();
            check_instance(world, request, &body.instance_key, None)?;
            let is_enrolled = known.possession == Some(key_of(&body.certificate_request));
            let enrolled = known.enrolled.clone().filter(|_| is_enrolled);
            Ok((201, enrolled.ok_or((404, "E0000007"))?))
        }
        ("POST", NONCE_PATH) => reply(&Nonce {
            nonce: NONCE.to_owned(),
            expires_in: 60,
        }),
        ("POST", CHALLENGES_PATH) => reply(&Challenged {
            challenge: challenge(world, &behaviour),
        }),
        ("POST", ANSWERS_PATH) => take_answer(world, request, known),
        ("POST", RENEW_PATH) => {
            let shown = request.certificate.as_deref().ok_or((401, "E0000011"))?;
            let body: Renew = request.json();
            let asked = VerifiedRequest::parse_pem(&body.certificate_request).unwrap();
            assert_eq!(asked.key(), LeafCertificate::parse(shown).unwrap().key);
            let certificate = issue(world, &body.certificate_request, &behaviour);
            reply(&Renewed { certificate })
        }
        (_, path) if path.starts_with(ENROLLMENTS_PATH) => enrollment_request(world, request, known),
        _ => Err((404, "E0000007")),
    }
}

fn take_answer(world: &World, request: &Request, known: &mut Known) -> Reply {
    let body: Answered = request.json();
    let token = Unverified::parse(&body.answer, ANSWER_TYPE).map_err(|_| (401, "E0000011"))?;
    let key = known.keys.iter().find(|key| key.thumbprint() == token.key());
    let claims = token
        .verify(key.ok_or((401, "E0000011"))?)
        .map_err(|_| (401, "E0000011"))?;
    known.answers.push(claims);
    world.answered.notify_all();
    reply(&AnswerTaken { managed: false })
}

fn enrollment_request(world: &World, request: &Request, known: &mut Known) -> Reply {
    let path = request.path.split('?').next().unwrap();
    let token = request.header(ASSERTION_FIELD).ok_or((401, "E0000011"))?;
    let claims: Assertion = Unverified::parse(token, ASSERTION_TYPE)
        .and_then(|token| token.verify(&known.possession.unwrap()))
        .map_err(|_| (401, "E0000011"))?;
    if claims.htm != request.method || claims.htu != format!("https://auth.localhost:{}{path}", world.port) {
        return Err((401, "E0000011"));
    }
    if request.method == "DELETE" {
        known.removed = true;
        return Ok((204, Value::Null));
    }
    if path.ends_with(RENAME_SUFFIX) {
        let Rename { name } = request.json();
        known.name = name;
        return Ok((204, Value::Null));
    }
    assert!(
        request.path.ends_with(&format!("?device={}", device())),
        "{}",
        request.path
    );
    reply(&EnrollmentStatus {
        device: device(),
        name: known.name.clone(),
        status: "ACTIVE".to_owned(),
        login: "alice".to_owned(),
        key_protection: KeyProtection::Software,
        secure_hardware: false,
        root_class: None,
        managed: false,
        reported: None,
        fastpass: true,
    })
}

fn authenticate(body: &Authenticate, behaviour: &Behaviour) -> Reply {
    if body.username != behaviour.user.0 || body.password != "correct horse" {
        return Err((401, "E0000004"));
    }
    if behaviour.factor_required && body.totp.as_deref() != Some("123456") {
        return reply(&Authenticated::FactorRequired {
            factors: vec!["totp".to_owned()],
            message: "Adding a device takes a second factor".to_owned(),
        });
    }
    reply(&Authenticated::Success {
        token: TOKEN.to_owned(),
        expires_in: 300,
    })
}

fn finish(world: &World, request: &Request, behaviour: &Behaviour, known: &mut Known) -> Reply {
    let body: Finish = request.json();
    let instance = known.instance.unwrap();
    check_instance(world, request, &instance, Some(TOKEN))?;
    let possession = key_of(&body.certificate_request);
    if let Some(verification) = &body.verification {
        let issuer = format!("https://auth.localhost:{}", world.port);
        verify_key_proof(
            &verification.proof,
            &verification.key,
            &issuer,
            attempt(),
            &NONCE.repeat(2),
        )
        .unwrap();
        known.keys.push(verification.key);
    }
    known.verification = body.verification.as_ref().map(|verification| verification.key);
    let certificate = if behaviour.foreign_certificate {
        let request = rcgen::CertificateParams::default().serialize_request(&rcgen::KeyPair::generate().unwrap());
        issue(world, &request.unwrap().pem().unwrap(), behaviour)
    } else {
        issue(world, &body.certificate_request, behaviour)
    };
    let receipt = EnrollmentReceipt {
        iss: format!("https://auth.localhost:{}", world.port),
        org_id: behaviour.organization,
        aud: instance.thumbprint(),
        iat: now().secs(),
        tx: body.attempt,
        nonce: NONCE.repeat(2),
        device: device(),
        sub: UserId::from_random(behaviour.user.1),
        enrollment: enrollment(behaviour.user.1),
        instance: InstanceId::from_random(4),
        key: possession.thumbprint(),
        certificate: hash(certificate.as_bytes()),
    };
    known.name = known.begun.as_ref().unwrap().name.clone();
    known.possession = Some(possession);
    known.keys.push(possession);
    known.finished = Some(body);
    let hardware = known.activated;
    let (_, enrolled) = reply(&Enrolled {
        device: device(),
        name: known.name.clone(),
        user: UserId::from_random(behaviour.user.1),
        enrollment: enrollment(behaviour.user.1),
        instance: InstanceId::from_random(4),
        certificate,
        key_protection: if hardware {
            KeyProtection::Hardware
        } else {
            KeyProtection::Software
        },
        root_class: hardware.then_some(RootClass::Test),
        managed: false,
        fastpass: behaviour.fastpass,
        receipt: sign(&behaviour.key, RECEIPT_TYPE, &receipt),
    })?;
    known.enrolled = Some(enrolled.clone());
    if behaviour.loses_answers {
        return Err((502, "E0000009"));
    }
    Ok((201, enrolled))
}

fn check_instance(
    world: &World,
    request: &Request,
    key: &PublicKey,
    token: Option<&str>,
) -> Result<(), (u16, &'static str)> {
    let issuer = format!("https://auth.localhost:{}", world.port);
    let url = format!("{issuer}{}", request.path);
    let expected = ExpectedRequest {
        audience: &issuer,
        method: &request.method,
        url: &url,
        now: now(),
    };
    if let Some(token) = token {
        assert_eq!(
            request.header("authorization"),
            Some(format!("Bearer {token}").as_str())
        );
    }
    let proof = request.header(INSTANCE_PROOF_FIELD).unwrap_or_default();
    verify_instance_proof(proof, key, &expected, &request.body, token).map_err(|_| (401, "E0000011"))
}

fn organization(world: &World, behaviour: &Behaviour) -> Organization {
    Organization {
        versions: vec![VERSION],
        organization: behaviour.organization,
        issuer: format!("https://auth.localhost:{}", world.port),
        device_origin: Some(format!("https://devices.localhost:{}", world.port)),
        challenge_keys: vec![public(&behaviour.named_key)],
        attestation: vec!["tpm".to_owned()],
        fastpass: fastpass(),
        loopback_ports: behaviour.ports.clone(),
    }
}

fn begun(statement: &DeviceStatement, behaviour: &Behaviour) -> Begun {
    let credential = match statement {
        DeviceStatement::Tpm(device) => Some(make_credential(&device.ek, &device.ak, SECRET)),
        DeviceStatement::None => None,
    };
    Begun {
        attempt: attempt(),
        nonce: NONCE.repeat(2),
        user: UserId::from_random(behaviour.user.1),
        login: behaviour.user.0.to_owned(),
        credential,
        fastpass: fastpass(),
        expires_in: 300,
    }
}

pub(super) fn challenge(world: &World, behaviour: &Behaviour) -> String {
    let issuer = format!("https://auth.localhost:{}", world.port);
    let mut claims = json!({
        "iss": issuer,
        "aud": AUTHENTICATOR,
        "iat": now().secs(),
        "exp": now().secs() + 120,
        "jti": attempt(),
        "nonce": NONCE.repeat(2),
        "orgId": behaviour.organization,
        "transactionId": attempt(),
        "verificationUri": format!("{issuer}{ANSWERS_PATH}"),
        "origin": issuer,
        "signals": ["kernel", "tpm"],
        "managementIssuers": [],
        "keyTypes": ["proofOfPossession", "userVerification"],
        "method": "signed_nonce",
        "userMediation": "NONE",
        "userVerification": "DISCOURAGED",
    });
    for (name, value) in behaviour.challenge.as_object().unwrap() {
        claims[name] = value.clone();
    }
    sign(&behaviour.key, CHALLENGE_TYPE, &claims)
}

fn issue(world: &World, request: &str, behaviour: &Behaviour) -> String {
    let request = VerifiedRequest::parse_pem(request).unwrap();
    let issued = world
        .devices
        .issue_device(&request, device(), &terms(behaviour.lifetime), None)
        .unwrap();
    let leaf = pem::encode(&pem::Pem::new("CERTIFICATE", issued.der));
    format!("{leaf}{}", world.devices.certificate_pem())
}

/// The key of a request, by way of a certificate: the request's own parts are not shown to others.
fn key_of(request: &str) -> PublicKey {
    let der = pem::parse(request).unwrap().into_contents();
    let head = PublicKey { x: [0; 32], y: [0; 32] }.subject_public_key_info()[..26].to_vec();
    let at = der.windows(head.len()).position(|window| window == head).unwrap() + head.len();
    PublicKey::from_sec1(&der[at..at + 65]).unwrap()
}

fn reply(body: &impl Serialize) -> Reply {
    Ok((200, serde_json::to_value(body).unwrap()))
}
