//! The commands of `causeway-certs`, for its own binary and for others that offer them too.

mod report;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use causeway_proto::ids::AgencyId;
use clap::{Args as ClapArgs, Parser, Subcommand};
use time::OffsetDateTime;

use self::report::{CaReport, CertificateReport, CrlReport, EpochReport, Report, RevokedReport};
use crate::{
    ca::{CERTIFICATE_DAYS, CRL_DAYS, Ca},
    certificate::{Certificate, hex, unhex},
    epoch,
    files::{self, IdentityFiles},
    name::{Identity, Role},
};

/// Make and look after the certificates of one Causeway deployment
///
/// A deployment has one CA: a folder that belongs to whoever governs the deployment, best on a
/// machine that is not on the network. Each member has one certificate with one name, such as
/// node/housing or coordinator/main, that holds for a week and is renewed on the same key.
#[derive(Debug, Parser)]
#[command(
    name = "causeway-certs",
    version,
    after_help = "\
A first deployment:
  causeway-certs ca init town
  causeway-certs issue coordinator/main --out coordinator
  causeway-certs issue node/housing --out housing
  causeway-certs show housing/certificate.pem"
)]
pub struct Args {
    /// The CA's folder
    #[arg(long, global = true, env = "CAUSEWAY_CA", default_value = "ca", value_name = "FOLDER")]
    ca: PathBuf,

    /// Answer in JSON
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the CA itself
    #[command(subcommand)]
    Ca(CaCommand),

    /// Make a key and a certificate for a member
    ///
    /// Writes key.pem (secret), certificate.pem, ca.pem and crl.pem into a new folder. Where the
    /// key can be made on the member's own machine, `sign` is better: then it never travels.
    #[command(after_help = "\
Example:
  causeway-certs issue node/housing --out housing --dns node.housing.example")]
    Issue {
        /// The member, such as node/housing
        #[arg(value_parser = member)]
        member: Member,
        /// The folder to write to
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
        #[command(flatten)]
        terms: Terms,
    },

    /// Sign a member's own request
    ///
    /// Only the public key is taken from the request; you say whose it is. Ask the member over
    /// another channel that the request came from them.
    #[command(after_help = "\
Example:
  causeway-certs sign housing.csr node/housing --out certificate.pem")]
    Sign {
        /// The request that the member made (`causeway-node init`)
        request: PathBuf,
        /// The member, such as node/housing
        #[arg(value_parser = member)]
        member: Member,
        /// Where to write the certificate
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        terms: Terms,
    },

    /// Sign a certificate again: same key and names, new dates
    ///
    /// Running members pick the new file up by themselves.
    #[command(after_help = "\
Example, from a nightly job:
  causeway-certs renew housing/certificate.pem")]
    Renew {
        /// The certificate
        certificate: PathBuf,
        /// Where to write the new one, if not in place of the old
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// How many days it holds
        #[arg(long, default_value_t = CERTIFICATE_DAYS)]
        days: u32,
    },

    /// Revoke certificates for good, and sign a new revocation list
    ///
    /// It takes effect at each member that has fetched the new list, also on connections that are
    /// up. No key of a revoked certificate is signed again: the member needs a new one. It does not
    /// take the linkage key away from a node: for that, start a new key epoch.
    #[command(after_help = "\
Examples:
  causeway-certs revoke --member node/housing       everything it ever held
  causeway-certs revoke --certificate old.pem
  causeway-certs revoke --serial 4a0f52c1...")]
    Revoke {
        #[command(flatten)]
        target: Target,
        /// How many days the new list holds
        #[arg(long, default_value_t = CRL_DAYS)]
        days: u32,
    },

    /// Sign a new revocation list
    ///
    /// Do this daily and get it to every member: a list that ran out stops all new connections.
    #[command(after_help = "\
Example, from a nightly job:
  causeway-certs crl && rsync ca/crl.pem housing:/etc/causeway/crl.pem")]
    Crl {
        /// How many days it holds
        #[arg(long, default_value_t = CRL_DAYS)]
        days: u32,
    },

    /// Make the linkage key of an epoch. Needs no CA
    ///
    /// Every node of a deployment hashes with the same key, and the coordinator must never see it. So one
    /// person makes it, once, and gets the same file to each agency by a way that only its IT can read,
    /// such as sealed media or an encrypted message; there it is put into the keys folder of the node as
    /// epoch.key, mode 0600. The node takes it in and erases the file, and `causeway-node check` shows a
    /// commitment by which the agencies can compare that theirs is the same. Then erase this file, too:
    /// an agency that joins later needs it, so keep one copy in a safe until the epoch is over.
    ///
    /// A new epoch is a new key with a higher number: nodes make every stored match-key again with it, and join
    /// nobody until all have it.
    #[command(after_help = "\
Example:
  causeway-certs epoch-key --epoch 1 --out epoch.key
  install -m 0600 epoch.key /srv/causeway/housing/keys/epoch.key

The file holds three lines:
  epoch = 1
  roster_hash = \"64 hexadecimal digits\"
  key = \"64 hexadecimal digits\"")]
    EpochKey {
        /// Which epoch; the first is 1, and each new key has a higher number
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
        epoch: u64,
        /// The file to write; one that is there is never overwritten
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },

    /// Say what a certificate holds. Needs no CA
    #[command(after_help = "\
Example:
  causeway-certs show housing/certificate.pem --json")]
    Show {
        /// The certificate
        certificate: PathBuf,
        /// A revocation list to look it up in [default: crl.pem beside it, if there is one]
        #[arg(long, value_name = "FILE")]
        crl: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum CaCommand {
    /// Make a new CA with an empty revocation list
    ///
    /// Keep a copy of the folder in a safe. ca.key lets whoever has it be anybody.
    #[command(after_help = "\
Example:
  causeway-certs ca init town --ca /media/vault/town-ca")]
    Init {
        /// The deployment's short name, such as town
        deployment: AgencyId,
    },
}

/// What else a certificate is to hold.
#[derive(Debug, ClapArgs)]
struct Terms {
    /// A further DNS name, for clients that know nothing of Causeway's; may be repeated
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,
    /// How many days it holds
    #[arg(long, default_value_t = CERTIFICATE_DAYS)]
    days: u32,
}

/// Which certificates to revoke: exactly one of these.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
struct Target {
    /// Every certificate of a member, also those that have run out
    #[arg(long, value_parser = member)]
    member: Option<Member>,
    /// One certificate, by its file
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// One certificate, by its serial number in hexadecimal
    #[arg(long, value_name = "HEX")]
    serial: Option<String>,
}

/// A member as the command line names it; the deployment is the CA's.
#[derive(Clone, Debug)]
struct Member {
    role: Role,
    id: AgencyId,
}

fn member(text: &str) -> Result<Member, String> {
    let (role, id) = text.split_once('/').ok_or("write it as role/name, such as node/housing")?;
    let role = role.parse().map_err(|error| format!("{error}"))?;
    let id = id.parse().map_err(|error| format!("{error}"))?;
    Ok(Member { role, id })
}

/// Does what the command line says, as at `now`, and writes what came of it to `out`.
pub fn run(args: &Args, now: OffsetDateTime, out: &mut impl Write) -> anyhow::Result<()> {
    let ca = || Ca::open(&args.ca);
    match &args.command {
        Command::Ca(CaCommand::Init { deployment }) => {
            Ca::init(&args.ca, deployment, now)?;
            print(args, out, &CaReport::new(deployment, &args.ca))
        }
        Command::Issue { member, out: folder, terms } => {
            let files = IdentityFiles::in_folder(folder);
            ensure!(
                !files.key.exists(),
                "{} holds a key already: choose a new folder, or `renew` its certificate",
                folder.display()
            );
            let ca = ca()?;
            let was_there = folder.exists();
            fs::create_dir_all(folder)
                .with_context(|| format!("could not make the folder {}", folder.display()))?;
            let identity = named(&ca, member);
            let issued = ca.issue_to(&files, &identity, &terms.dns, terms.days, now);
            if issued.is_err() && !was_there {
                // Only if nothing is in it, and it is no harm if it stays.
                let _ = fs::remove_dir(folder);
            }
            let certificate = issued?;
            let written = [&files.certificate, &files.key, &files.ca, &files.crl];
            print(args, out, &CertificateReport::new(&certificate, now).with_files(written))
        }
        Command::Sign { request, member, out: path, terms } => {
            let (ca, csr) = (ca()?, read(request)?);
            let signed = ca
                .sign(&csr, &named(&ca, member), &terms.dns, terms.days, now)
                .with_context(|| format!("could not sign {}", request.display()))?;
            files::write_public(path, signed.pem.as_bytes())?;
            print(args, out, &CertificateReport::new(&signed.certificate, now).with_files([path]))
        }
        Command::Renew { certificate, out: path, days } => {
            let signed = ca()?
                .renew(&read(certificate)?, *days, now)
                .with_context(|| format!("could not renew {}", certificate.display()))?;
            let path = path.as_ref().unwrap_or(certificate);
            files::write_public(path, signed.pem.as_bytes())?;
            print(args, out, &CertificateReport::new(&signed.certificate, now).with_files([path]))
        }
        Command::Revoke { target, days } => {
            let ca = ca()?;
            let serials = revoke(&ca, target, now)?;
            let list = CrlReport::new(&ca.crl(*days, now)?, &args.ca);
            print(args, out, &RevokedReport { serials, list })
        }
        Command::Crl { days } => {
            print(args, out, &CrlReport::new(&ca()?.crl(*days, now)?, &args.ca))
        }
        Command::EpochKey { epoch, out: path } => {
            epoch::make(path, *epoch)?;
            print(args, out, &EpochReport { epoch: *epoch, file: path.clone() })
        }
        Command::Show { certificate, crl } => {
            let held = Certificate::from_pem(read(certificate)?.as_bytes()).with_context(|| {
                format!("{} is not a member's certificate", certificate.display())
            })?;
            let beside = certificate.with_file_name("crl.pem");
            let crl = crl.clone().or_else(|| beside.exists().then_some(beside));
            let mut report = CertificateReport::new(&held, now);
            if let Some(crl) = crl {
                let listed = files::revoked_serials(&crl)?.contains(&held.serial);
                report = report.looked_up(listed, crl);
            }
            print(args, out, &report)
        }
    }
}

fn revoke(ca: &Ca, target: &Target, now: OffsetDateTime) -> anyhow::Result<Vec<String>> {
    let serials = match target {
        Target { member: Some(member), .. } => {
            let serials = ca.revoke_identity(&named(ca, member), now)?;
            ensure!(!serials.is_empty(), "{}/{} holds no certificate", member.role, member.id);
            serials
        }
        Target { certificate: Some(path), .. } => {
            let context = || format!("could not revoke {}", path.display());
            vec![ca.revoke_certificate(&read(path)?, now).with_context(context)?]
        }
        Target { serial: Some(serial), .. } => {
            let serial =
                unhex(serial).context("a serial number is hexadecimal, as `show` prints")?;
            ca.revoke(&serial, now)?;
            vec![serial]
        }
        Target { .. } => bail!("say what to revoke"),
    };
    Ok(serials.iter().map(|serial| hex(serial)).collect())
}

fn named(ca: &Ca, Member { role, id }: &Member) -> Identity {
    Identity::new(ca.deployment().clone(), *role, id.clone())
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
}

fn print(args: &Args, out: &mut impl Write, report: &impl Report) -> anyhow::Result<()> {
    if args.json {
        serde_json::to_writer_pretty(&mut *out, report)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_with_an_example() {
        fn check(command: &clap::Command) {
            let subcommands: Vec<_> =
                command.get_subcommands().filter(|c| c.get_name() != "help").collect();
            if subcommands.is_empty() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("  causeway-certs "), "{}", command.get_name());
            }
            subcommands.into_iter().for_each(check);
        }
        check(&Args::command());
    }

    #[test]
    fn a_member_is_a_role_and_a_name() {
        assert!(member("node/housing").is_ok());
        assert!(member("housing").unwrap_err().contains("such as node/housing"));
        assert!(member("admin/housing").unwrap_err().contains("use node, coordinator"));
        assert!(member("node/Housing").unwrap_err().contains("lowercase"));
    }
}
