//! Whoever has no business there is refused, and both sides can read which side refused and why.

use std::{fs, future::Future, path::PathBuf, time::Duration};

use causeway_certs::{
    ca::Ca,
    dial::{self, connect_problem},
    files::IdentityFiles,
    name::{Identity, Role},
    tls::TlsState,
};
use causeway_proto::{
    catalogue::AgencyKind::{Housing, Police},
    pb::{
        self, alert_service_client::AlertServiceClient,
        comparison_service_client::ComparisonServiceClient,
        dwelling_service_client::DwellingServiceClient, inbox_service_client::InboxServiceClient,
        operator_service_client::OperatorServiceClient, signal_service_client::SignalServiceClient,
        stream_tokens_response::Column, sweep_service_client::SweepServiceClient,
        token_service_client::TokenServiceClient,
    },
    refusal,
};
use time::OffsetDateTime;
use tonic::{Code, Status, transport::Channel};

use crate::village::{Making, PATIENCE, Village, until};

/// Police and housing, and callers of any kind at their doors.
struct Doors {
    village: Village,
    runtime: tokio::runtime::Runtime,
}

impl Doors {
    fn new() -> anyhow::Result<Self> {
        let mut village = Making::of(&[Police, Housing]).make()?;
        village.town.start_nodes()?;
        village.town.start_coordinator()?;
        Ok(Self { village, runtime: tokio::runtime::Runtime::new()? })
    }

    /// Makes an identity with `ca`, signed at `now` for a week, that believes the town's CA as
    /// well.
    fn identity(&self, ca: &Ca, role: Role, who: &str, now: OffsetDateTime) -> IdentityFiles {
        let folder = self.village.scratch().join(format!("{role}-{who}-{}", now.unix_timestamp()));
        fs::create_dir_all(&folder).unwrap();
        let files = IdentityFiles::in_folder(&folder);
        ca.issue_to(&files, &name(role, who), &[], 7, now).unwrap();
        let ours = self.village.town.ca();
        let both = [ours.pem(), ca.pem()].concat();
        fs::write(&files.ca, both).unwrap();
        let both = [ours.latest_crl().unwrap(), ca.latest_crl().unwrap()].concat();
        fs::write(&files.crl, both).unwrap();
        files
    }

    /// Dials housing's node as somebody whom the town's CA knows.
    fn housing_as(&self, role: Role, who: &str) -> Channel {
        let now = OffsetDateTime::now_utc();
        self.housing_with(&self.identity(self.village.town.ca(), role, who, now), now)
    }

    fn housing_with(&self, files: &IdentityFiles, now: OffsetDateTime) -> Channel {
        self.node_with(Housing, files, now)
    }

    fn node_with(
        &self,
        kind: causeway_proto::catalogue::AgencyKind,
        files: &IdentityFiles,
        now: OffsetDateTime,
    ) -> Channel {
        let node = &self.village.town.nodes()[self.village.place(kind)];
        let tls = TlsState::load(files, now).unwrap();
        let address = node.address.clone().unwrap();
        let _inside = self.runtime.enter();
        dial::channel(&tls, address, name(Role::Node, node.agency.id.as_str()))
    }

    fn coordinator_as(&self, role: Role, who: &str) -> Channel {
        let now = OffsetDateTime::now_utc();
        let files = self.identity(self.village.town.ca(), role, who, now);
        let tls = TlsState::load(&files, now).unwrap();
        let address = self.village.town.coordinator_address().to_owned();
        let _inside = self.runtime.enter();
        dial::channel(&tls, address, name(Role::Coordinator, "main"))
    }

    fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    /// Waits until the log of housing's node has a line with all of these.
    fn housing_logged(&mut self, words: &[&str]) -> anyhow::Result<()> {
        let place = self.village.place(Housing);
        let node = self.village.town.node_mut(place);
        until(&format!("{words:?} in the log"), Duration::from_secs(5), || {
            let log = node.running()?.log();
            let told = log.lines().any(|line| words.iter().all(|word| line.contains(word)));
            Ok(told.then_some(()))
        })
    }
}

fn name(role: Role, who: &str) -> Identity {
    Identity::new("town".parse().unwrap(), role, who.parse().unwrap())
}

async fn health(channel: Channel) -> Result<(), Status> {
    let request = tonic_health::pb::HealthCheckRequest::default();
    let mut client = tonic_health::pb::health_client::HealthClient::new(channel);
    client.check(request).await.map(|_| ())
}

/// Makes every call there is at a node, and returns the refusals.
async fn every_call(channel: Channel) -> Vec<(&'static str, Option<Status>)> {
    let c = || channel.clone();
    let sweep_id = vec![0; 16];
    let open = SweepServiceClient::new(c()).open_sweep(pb::OpenSweepRequest::default()).await.err();
    let close = SweepServiceClient::new(c()).close_sweep(pb::CloseSweepRequest::default()).await;
    let stream = pb::StreamTokensRequest { sweep_id: sweep_id.clone(), after: 0 };
    let stream = TokenServiceClient::new(c()).stream_tokens(stream).await.err();
    let compare = ComparisonServiceClient::new(c()).compare(pb::CompareRequest::default()).await;
    let dwellings = pb::QueryDwellingsRequest { sweep_id: sweep_id.clone(), handles: vec![7; 16] };
    let dwellings = DwellingServiceClient::new(c()).query_dwellings(dwellings).await;
    let signals = pb::QuerySignalsRequest { sweep_id, handles: vec![7; 16] };
    let signals = SignalServiceClient::new(c()).query_signals(signals).await;
    let alert =
        AlertServiceClient::new(c()).deliver_alert(pb::DeliverAlertRequest::default()).await;
    let list = InboxServiceClient::new(c()).list_alerts(pb::ListAlertsRequest::default()).await;
    vec![
        ("SweepService", open),
        ("SweepService", close.err()),
        ("TokenService", stream),
        ("ComparisonService", compare.err()),
        ("DwellingService", dwellings.err()),
        ("SignalService", signals.err()),
        ("AlertService", alert.err()),
        ("InboxService", list.err()),
    ]
}

#[test]
fn a_strangers_certificate_is_refused_by_the_node_that_it_dials() -> anyhow::Result<()> {
    let mut doors = Doors::new()?;
    let now = OffsetDateTime::now_utc();
    let folder: PathBuf = doors.village.scratch().join("strangers-ca");
    let strangers = Ca::init(&folder, &"town".parse()?, now)?;
    let files = doors.identity(&strangers, Role::Coordinator, "main", now);
    let refused = doors.wait(health(doors.housing_with(&files, now))).unwrap_err();
    let said = connect_problem(&refused);
    assert!(said.contains("the node at 127.0.0.1"), "{said}");
    assert!(said.contains("refused our certificate: signed by a CA it does not know"), "{said}");
    doors.housing_logged(&["refused a connection", "signed by another CA"])?;

    // The same call with a certificate of the town's CA passes.
    doors.wait(health(doors.housing_as(Role::Coordinator, "main")))?;
    Ok(())
}

#[test]
fn a_certificate_that_ran_out_is_refused() -> anyhow::Result<()> {
    let mut doors = Doors::new()?;
    let then = OffsetDateTime::now_utc() - time::Duration::days(8);
    let files = doors.identity(doors.village.town.ca(), Role::Coordinator, "main", then);
    // Whoever does not look at their own clock dials all the same.
    let refused = doors.wait(health(doors.housing_with(&files, then))).unwrap_err();
    let said = connect_problem(&refused);
    assert!(said.contains("the node at 127.0.0.1"), "{said}");
    assert!(said.contains("refused our certificate: expired"), "{said}");
    doors.housing_logged(&["refused a connection", "its certificate expired on"])?;

    // One who does is told before dialling.
    let said = TlsState::load(&files, OffsetDateTime::now_utc()).err().unwrap().to_string();
    assert!(said.contains("ran out") || said.contains("expired"), "{said}");
    Ok(())
}

#[test]
fn a_certificate_that_was_revoked_is_refused_on_its_open_connection_and_on_new_ones()
-> anyhow::Result<()> {
    let mut doors = Doors::new()?;
    let now = OffsetDateTime::now_utc();
    let ca = doors.village.town.ca();
    let files = doors.identity(ca, Role::Operator, "housing-worklist", now);
    let open = doors.housing_with(&files, now);
    let list = |channel: Channel| async {
        let asked = pb::ListAlertsRequest::default();
        InboxServiceClient::new(channel).list_alerts(asked).await.map(|_| ())
    };
    doors.wait(list(open.clone()))?;

    ca.revoke_certificate(&fs::read_to_string(&files.certificate)?, now)?;
    let crl = ca.crl(1, now)?.pem;
    let node = &doors.village.town.nodes()[doors.village.place(Housing)];
    fs::write(node.folder.join("identity/crl.pem"), crl)?;
    let refused = until("the node to notice", Duration::from_secs(30), || {
        Ok(doors.wait(list(open.clone())).err())
    })?;
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    assert_eq!(refusal::reason(&refused).as_deref(), Some("CERTIFICATE_REVOKED"));
    let said = "node housing refused operator housing-worklist: its certificate was revoked";
    assert_eq!(refused.message(), said);

    let refused = doors.wait(list(doors.housing_with(&files, now))).unwrap_err();
    let said = connect_problem(&refused);
    assert!(said.contains("the node at 127.0.0.1"), "{said}");
    assert!(said.contains("refused our certificate: revoked"), "{said}");
    doors.housing_logged(&["refused a connection", "its certificate was revoked"])?;
    // A new certificate of the same name is as good as the old one was.
    doors.wait(list(doors.housing_as(Role::Operator, "housing-worklist")))?;
    Ok(())
}

#[test]
fn a_node_gets_nothing_from_another_node() -> anyhow::Result<()> {
    let mut doors = Doors::new()?;
    let police = &doors.village.town.nodes()[doors.village.place(Police)];
    let files = IdentityFiles::in_folder(police.folder.join("identity"));
    let channel = doors.housing_with(&files, OffsetDateTime::now_utc());
    // The connection stands: anybody may ask for health. Every call is refused for itself.
    doors.wait(health(channel.clone()))?;
    for (service, refused) in doors.wait(every_call(channel)) {
        let refused = refused.unwrap();
        let allowed = match service {
            "InboxService" => "operators that its configuration lists",
            _ => "its coordinator",
        };
        let said = format!("node housing refused node police: only {allowed} may call {service}");
        assert_eq!(refused.message(), said);
        assert_eq!(refused.code(), Code::PermissionDenied, "{service}");
        assert_eq!(refusal::reason(&refused).as_deref(), Some("ROLE_NOT_ALLOWED"));
    }
    doors.housing_logged(&["refused a call", "node police", "TokenService"])
}

#[test]
fn only_the_one_coordinator_of_a_node_is_answered() -> anyhow::Result<()> {
    let mut doors = Doors::new()?;
    for (role, who, code, reason, why) in [
        (
            Role::Coordinator,
            "second",
            Code::PermissionDenied,
            "NOT_OUR_COORDINATOR",
            "node housing refused coordinator second: its coordinator is main",
        ),
        // The name is the coordinator's, and the role is not.
        (
            Role::Operator,
            "main",
            Code::PermissionDenied,
            "ROLE_NOT_ALLOWED",
            "node housing refused operator main: only its coordinator may call TokenService",
        ),
    ] {
        let request = pb::StreamTokensRequest { sweep_id: vec![0; 16], after: 0 };
        let mut client = TokenServiceClient::new(doors.housing_as(role, who));
        let refused = doors.wait(client.stream_tokens(request)).unwrap_err();
        assert_eq!(refused.message(), why);
        assert_eq!((refused.code(), refusal::reason(&refused).as_deref()), (code, Some(reason)));
        doors.housing_logged(&[why])?;
    }
    // A custodian has no call to make there at all, and is told so in the handshake.
    let custodian = doors.housing_as(Role::Custodian, "main");
    let said = connect_problem(&doors.wait(health(custodian)).unwrap_err());
    assert!(said.contains("of a role that has no business there"), "{said}");
    doors.housing_logged(&["refused a connection", "its role is custodian"])?;

    let main = doors.housing_as(Role::Coordinator, "main");
    assert!(doors.wait(every_call(main)).iter().any(|(service, refused)| {
        let refused = refused.as_ref().unwrap();
        // Let in, and told what is wrong with the question.
        *service == "SweepService" && refused.code() == Code::InvalidArgument
    }));
    Ok(())
}

#[test]
fn one_agencys_handles_open_nothing_at_another() -> anyhow::Result<()> {
    let doors = Doors::new()?;
    let folder = doors.village.town.folder().join("coordinator/identity");
    let (files, now) = (IdentityFiles::in_folder(folder), OffsetDateTime::now_utc());
    let [police, housing] = [Police, Housing].map(|kind| doors.node_with(kind, &files, now));
    doors.wait(async {
        let mut sweep_id = vec![0, 0, 0, 0, 0, 0, 0, 1];
        sweep_id.extend([9; 8]);
        let opening = pb::OpenSweepRequest {
            sweep_id: sweep_id.clone(),
            purposes: vec![pb::Purpose::AdultSafeguarding.into()],
            model_version: "causeway-1".into(),
            as_at_day: 20_000,
        };
        let mut handles = Vec::new();
        for node in [&police, &housing] {
            SweepServiceClient::new(node.clone()).open_sweep(opening.clone()).await?;
            let request = pb::StreamTokensRequest { sweep_id: sweep_id.clone(), after: 0 };
            let mut stream =
                TokenServiceClient::new(node.clone()).stream_tokens(request).await?.into_inner();
            let first = stream.message().await?.unwrap().column.unwrap();
            let Column::People(people) = first else { panic!("people come first") };
            handles.push(people.handles[..16].to_vec());
        }
        let ask = |handles: Vec<u8>| {
            let (node, sweep_id) = (housing.clone(), sweep_id.clone());
            async move {
                let request = pb::QuerySignalsRequest { sweep_id, handles };
                SignalServiceClient::new(node).query_signals(request).await
            }
        };
        let own = ask(handles[1].clone()).await?.into_inner();
        assert_eq!(own.subjects.len(), 1);
        let refused = ask(handles[0].clone()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains("handle"), "{refused}");
        // One stranger among its own spoils the whole question: nobody may find out which.
        let refused = ask([handles[1].clone(), handles[0].clone()].concat()).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        anyhow::Ok(())
    })
}

#[test]
fn operators_are_those_that_the_settings_list() -> anyhow::Result<()> {
    let doors = Doors::new()?;
    let list = |channel: Channel| {
        let asked = pb::ListAlertsRequest::default();
        doors.wait(InboxServiceClient::new(channel).list_alerts(asked)).map(|_| ())
    };
    list(doors.housing_as(Role::Operator, "housing-worklist"))?;
    for (role, who) in [
        (Role::Operator, "somebody"),
        (Role::Operator, "police-worklist"),
        (Role::Coordinator, "main"),
    ] {
        let refused = list(doors.housing_as(role, who)).unwrap_err();
        let said = format!(
            "node housing refused {role} {who}: only operators that its configuration lists may \
             call InboxService"
        );
        assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, &*said));
    }

    let status = |channel: Channel| {
        let asked = pb::GetStatusRequest::default();
        doors.wait(OperatorServiceClient::new(channel).get_status(asked)).map(|_| ())
    };
    status(doors.coordinator_as(Role::Operator, "console"))?;
    for (role, who) in [(Role::Operator, "somebody"), (Role::Node, "housing")] {
        let refused = status(doors.coordinator_as(role, who)).unwrap_err();
        let said = format!(
            "coordinator main refused {role} {who}: only operators that its configuration lists \
             may call OperatorService"
        );
        assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, &*said));
    }
    Ok(())
}

#[test]
fn a_node_that_dials_in_unasked_or_after_it_was_revoked_is_not_called() -> anyhow::Result<()> {
    let making = Making { dial_out: &[Police], ..Making::of(&[Police, Housing]) };
    let mut village = making.make()?;
    village.town.start_nodes()?;
    // Its certificate is good, and nobody enrolled it.
    village.settings(|text| text.replace("id = \"police\"", "id = \"another-force\""))?;
    village.town.start_coordinator()?;
    until("the node to be told", PATIENCE, || {
        let log = village.node(Police)?.log();
        let told = "closed the connection at once: is this node enrolled there?";
        Ok(log.contains(told).then_some(()))
    })?;
    let log = village.town.coordinator_mut().unwrap().log();
    let refused = |line: &&str| line.contains("refused a connection") && line.contains("police");
    let line = log.lines().find(refused).unwrap_or_else(|| panic!("{log}"));
    assert!(line.contains("enrolled"), "{line}");

    // Enrolled, it is called; revoked, it is refused in the handshake.
    village.settings(|text| text)?;
    village.town.coordinator_mut().unwrap().stop()?;
    village.town.start_coordinator()?;
    until("the node to be there", PATIENCE, || {
        let status = village.town.coordinate(&["status"])?.0;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        Ok(nodes.iter().all(|node| node["problem"] == "").then_some(()))
    })?;
    village.town.coordinator_mut().unwrap().stop()?;
    let (ca, now) = (village.town.ca(), OffsetDateTime::now_utc());
    ca.revoke_identity(&village.name(Police), now)?;
    fs::write(village.identity("coordinator").crl, ca.crl(1, now)?.pem)?;
    village.town.start_coordinator()?;
    until("the node to be refused", PATIENCE, || {
        let log = village.town.coordinator_mut().unwrap().log();
        Ok(log.contains("its certificate was revoked").then_some(()))
    })?;
    let told = |log: String| log.contains("refused our certificate: revoked");
    until("the node to be told why", PATIENCE, || {
        Ok(told(village.node(Police)?.log()).then_some(()))
    })
}
