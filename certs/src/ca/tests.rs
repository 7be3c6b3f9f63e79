use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap()
}

fn identity(short: &str) -> Identity {
    format!("spiffe://town.causeway/{short}").parse().unwrap()
}

fn town() -> (TempDir, Ca) {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::init(folder.path().join("ca"), &"town".parse().unwrap(), now()).unwrap();
    (folder, ca)
}

fn revoked_serials(crl_pem: &str) -> Vec<Vec<u8>> {
    use x509_parser::revocation_list::CertificateRevocationList;
    let der = rustls::pki_types::CertificateRevocationListDer::from_pem_slice(crl_pem.as_bytes());
    let der = der.unwrap();
    let (_, crl) = CertificateRevocationList::from_der(&der).unwrap();
    crl.iter_revoked_certificates().map(|revoked| revoked.raw_serial().to_vec()).collect()
}

#[test]
fn a_ca_is_made_once_and_opened_again_with_its_key_to_itself() {
    let (_folder, ca) = town();
    let mode = fs::metadata(ca.folder.join("ca.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(Ca::open(&ca.folder).unwrap().deployment().as_str(), "town");

    let again = Ca::init(&ca.folder, &"town".parse().unwrap(), now());
    assert!(matches!(again, Err(CaError::Exists(_))));
    assert!(matches!(Ca::open(ca.folder.join("nowhere")), Err(CaError::NotHere(_))));
    assert_eq!(format!("{ca:?}"), format!("Ca(town in {})", ca.folder.display()));
}

#[test]
fn a_certificate_holds_one_identity_a_logical_name_and_a_week() {
    let (_folder, ca) = town();
    let extra = ["node.housing.example".to_owned()];
    let issued = ca.issue(&identity("node/housing"), &extra, CERTIFICATE_DAYS, now()).unwrap();
    let certificate = issued.signed.certificate;
    assert_eq!(certificate.identity, identity("node/housing"));
    assert_eq!(certificate.dns_names, ["housing.node.town.causeway", "node.housing.example"]);
    assert_eq!(certificate.serial.len(), 16);
    assert_eq!(certificate.not_before, now() - Duration::minutes(5));
    assert_eq!(certificate.not_after, now() + Duration::days(7));
}

#[test]
fn names_that_are_forged_in_a_request_are_ignored() {
    let (_folder, ca) = town();
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut forged = CertificateParams::default();
    forged.distinguished_name = common_name("coordinator/main");
    forged.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    forged.subject_alt_names = vec![
        SanType::URI("spiffe://town.causeway/coordinator/main".try_into().unwrap()),
        SanType::DnsName("main.coordinator.town.causeway".try_into().unwrap()),
    ];
    let csr = forged.serialize_request(&key).unwrap().pem().unwrap();

    let signed = ca.sign(&csr, &identity("node/housing"), &[], 7, now()).unwrap();
    assert_eq!(signed.certificate.identity, identity("node/housing"));
    assert_eq!(signed.certificate.dns_names, ["housing.node.town.causeway"]);
    let der = CertificateDer::from_pem_slice(signed.pem.as_bytes()).unwrap();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    assert!(!parsed.is_ca());
    assert_eq!(parsed.public_key().subject_public_key.as_ref(), key.der_bytes());
}

/// Asks for a certificate for a key that is somebody else's.
struct Liar {
    claims: KeyPair,
    holds: KeyPair,
}

impl PublicKeyData for Liar {
    fn der_bytes(&self) -> &[u8] {
        self.claims.der_bytes()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.claims.algorithm()
    }
}

impl rcgen::SigningKey for Liar {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.holds.sign(message)
    }
}

#[test]
fn a_request_that_its_own_key_did_not_sign_is_refused() {
    let (_folder, ca) = town();
    let key = || KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let liar = Liar { claims: key(), holds: key() };
    let forged = CertificateParams::default().serialize_request(&liar).unwrap().pem().unwrap();

    let sign = |csr: &str| ca.sign(csr, &identity("node/housing"), &[], 7, now()).map(|_| ());
    assert!(matches!(sign(&forged), Err(CaError::RequestSignature)));
    assert!(matches!(sign(ca.pem()), Err(CaError::NotARequest)));

    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let csr = CertificateParams::default().serialize_request(&ed25519).unwrap().pem().unwrap();
    assert!(matches!(sign(&csr), Err(CaError::KeyKind)));
}

#[test]
fn a_name_that_is_not_the_cas_to_give_is_refused() {
    let (_folder, ca) = town();
    let elsewhere = "spiffe://city.causeway/node/housing".parse().unwrap();
    assert!(matches!(ca.issue(&elsewhere, &[], 7, now()), Err(CaError::OtherDeployment { .. })));
    for name in ["police.node.town.causeway", "a.CAUSEWAY.", "no name", "*.example", ""] {
        let issued = ca.issue(&identity("node/housing"), &[name.to_owned()], 7, now());
        assert!(matches!(issued, Err(CaError::DnsName(_))), "{name}");
    }
    for days in [0, 4000, u32::MAX] {
        let issued = ca.issue(&identity("node/housing"), &[], days, now());
        assert!(matches!(issued, Err(CaError::Days(_))), "{days}");
    }
    assert!(ca.entries().unwrap().is_empty());
}

#[test]
fn renewing_keeps_key_and_names_and_changes_the_rest() {
    let (_folder, ca) = town();
    let extra = ["node.housing.example".to_owned()];
    let old = ca.issue(&identity("node/housing"), &extra, 7, now()).unwrap().signed;
    let later = now() + Duration::days(4);
    let new = ca.renew(&old.pem, 7, later).unwrap().certificate;

    let old = old.certificate;
    assert_eq!((&new.identity, &new.dns_names), (&old.identity, &old.dns_names));
    assert_eq!(new.key_fingerprint, old.key_fingerprint);
    assert_ne!(new.serial, old.serial);
    assert_eq!(new.not_after, later + Duration::days(7));
}

#[test]
fn revoked_and_foreign_certificates_are_not_renewed() {
    let (_folder, ca) = town();
    let old = ca.issue(&identity("node/housing"), &[], 7, now()).unwrap().signed;
    ca.revoke_certificate(&old.pem, now()).unwrap();
    let refused = ca.renew(&old.pem, 7, now()).unwrap_err().to_string();
    assert!(refused.contains("was revoked on 2026-09-21T14:13:20Z"), "{refused}");

    let (_folder, other) = town();
    let foreign = other.issue(&identity("node/housing"), &[], 7, now()).unwrap().signed;
    assert!(matches!(ca.renew(&foreign.pem, 7, now()), Err(CaError::Foreign)));
    assert!(matches!(ca.revoke_certificate(&foreign.pem, now()), Err(CaError::Foreign)));
    assert!(matches!(ca.revoke(&[1, 2], now()), Err(CaError::UnknownSerial)));
    assert!(matches!(ca.renew("junk", 7, now()), Err(CaError::Certificate(_))));
}

#[test]
fn a_stolen_key_is_not_signed_again_although_its_certificate_had_run_out() {
    let (_folder, ca) = town();
    let housing = identity("node/housing");
    let (_, csr) = new_key_and_csr(&housing).unwrap();
    let older = ca.sign(&csr, &housing, &[], 7, now()).unwrap();
    let newer = ca.renew(&older.pem, 7, now() + Duration::days(4)).unwrap();

    let nine_days_on = now() + Duration::days(13);
    assert_eq!(ca.revoke_identity(&housing, nine_days_on).unwrap().len(), 2);
    for stolen in [&older, &newer] {
        let renewed = ca.renew(&stolen.pem, 7, nine_days_on);
        assert!(matches!(renewed, Err(CaError::Revoked(_))), "{renewed:?}");
    }
    let signed = ca.sign(&csr, &housing, &[], 7, nine_days_on);
    assert!(matches!(signed, Err(CaError::RevokedKey(_))), "{signed:?}");
    assert!(ca.issue(&housing, &[], 7, nine_days_on).is_ok(), "a new key is another matter");
}

#[test]
fn a_key_is_revoked_with_any_of_its_certificates() {
    let (_folder, ca) = town();
    let older = ca.issue(&identity("node/housing"), &[], 7, now()).unwrap().signed;
    let newer = ca.renew(&older.pem, 7, now()).unwrap();
    ca.revoke_certificate(&older.pem, now()).unwrap();
    let refused = ca.renew(&newer.pem, 7, now()).unwrap_err().to_string();
    assert!(refused.contains("this key was revoked on 2026-09-21T14:13:20Z"), "{refused}");
    assert_eq!(ca.entries().unwrap().len(), 2);
}

#[test]
fn a_revocation_is_on_every_list_from_then_on_and_lists_are_numbered() {
    let (_folder, ca) = town();
    assert!(revoked_serials(&ca.latest_crl().unwrap()).is_empty());
    let first = ca.issue(&identity("node/housing"), &[], 7, now()).unwrap().signed;
    let second = ca.renew(&first.pem, 7, now()).unwrap();
    let other = ca.issue(&identity("node/police"), &[], 7, now()).unwrap().signed;

    // Another process opens the same folder; both of a member's certificates go.
    let elsewhere = Ca::open(&ca.folder).unwrap();
    let gone = elsewhere.revoke_identity(&identity("node/housing"), now()).unwrap();
    assert_eq!(gone.len(), 2);
    assert!(elsewhere.revoke_identity(&identity("node/housing"), now()).unwrap().is_empty());
    let crl = ca.crl(1, now()).unwrap();
    assert_eq!((crl.number, crl.revoked), (2, 2));
    assert_eq!(ca.latest_crl().unwrap(), crl.pem);

    let on_list = revoked_serials(&crl.pem);
    assert!(on_list.contains(&first.certificate.serial));
    assert!(on_list.contains(&second.certificate.serial));
    assert!(!on_list.contains(&other.certificate.serial));
    let much_later = ca.crl(1, now() + Duration::days(300)).unwrap();
    assert_eq!((much_later.number, much_later.revoked), (3, 2));
}

#[test]
fn a_ca_whose_files_do_not_belong_together_does_not_open() {
    let (_folder, ca) = town();
    let (_other_folder, other) = town();
    fs::copy(other.folder.join("ca.pem"), ca.folder.join("ca.pem")).unwrap();
    assert!(matches!(Ca::open(&ca.folder), Err(CaError::Damaged(_))));
    fs::remove_file(ca.folder.join("ca.key")).unwrap();
    assert!(matches!(Ca::open(&ca.folder), Err(CaError::NoKey(_))));
}
