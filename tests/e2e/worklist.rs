//! An agency's own system answers an alert over gRPC, at its own node and nowhere else.

use std::fs;

use anyhow::Context;
use causeway_certs::{
    dial,
    files::IdentityFiles,
    name::{Identity, Role},
    tls::TlsState,
};
use causeway_proto::{
    catalogue::AgencyKind::AdultSocialCare,
    pb::{self, ReviewAction, ReviewReason, inbox_service_client::InboxServiceClient},
    refusal,
};
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tonic::{Code, Status, transport::Channel};

use crate::{
    reviews::{corrected, state, told, withdrawn_everywhere},
    village::{PATIENCE, Village, id, until},
};

/// Adult social care's inbox, for somebody with a certificate.
struct Inbox {
    runtime: Runtime,
    channel: Channel,
}

impl Inbox {
    fn of(village: &Village, role: Role, who: &str) -> anyhow::Result<Self> {
        let folder = village.scratch().join(who);
        fs::create_dir_all(&folder)?;
        let files = IdentityFiles::in_folder(&folder);
        let deployment = village.town.ca().deployment().clone();
        let identity = Identity::new(deployment, role, who.parse()?);
        let now = OffsetDateTime::now_utc();
        village.town.ca().issue_to(&files, &identity, &[], 1, now)?;
        let tls = TlsState::load(&files, now)?;
        let node = &village.town.nodes()[village.place(AdultSocialCare)];
        let address = node.address.clone().context("it listens")?;
        let runtime = Runtime::new()?;
        let inside = runtime.enter();
        let channel = dial::channel(&tls, address, village.name(AdultSocialCare));
        drop(inside);
        Ok(Self { runtime, channel })
    }

    fn client(&self) -> InboxServiceClient<Channel> {
        InboxServiceClient::new(self.channel.clone())
    }

    /// The one alert that is there.
    fn entry(&self) -> anyhow::Result<pb::InboxEntry> {
        let asked = pb::ListAlertsRequest { include_closed: true, ..Default::default() };
        let listed = self.runtime.block_on(self.client().list_alerts(asked))?.into_inner();
        assert_eq!(listed.entries.len(), 1);
        listed.entries.into_iter().next().context("an alert")
    }

    fn review(&self, review: pb::ReviewAlertRequest) -> Result<Vec<u8>, Status> {
        let answer = self.runtime.block_on(self.client().review_alert(review));
        answer.map(|answer| answer.into_inner().review_id)
    }

    /// Says how a review is refused.
    fn refused(&self, review: pb::ReviewAlertRequest) -> (Code, String) {
        let refused = self.review(review).unwrap_err();
        (refused.code(), refusal::reason(&refused).unwrap_or_default())
    }
}

#[test]
fn a_worklist_answers_an_alert_and_what_makes_no_answer_is_refused() -> anyhow::Result<()> {
    let (village, alert, told) = told()?;
    let worklist = format!("{}-worklist", id(AdultSocialCare));
    let inbox = Inbox::of(&village, Role::Operator, &worklist)?;
    let entry = inbox.entry()?;
    let shown = entry.alert.clone().context("an alert")?;
    assert_eq!(u128::from_str_radix(&alert, 16)?.to_be_bytes()[..], shown.alert_id);
    let acting = pb::ReviewAlertRequest {
        alert_id: shown.alert_id.clone(),
        revision: shown.revision,
        action: ReviewAction::Acting.into(),
        ..Default::default()
    };

    for (wrong, code, reason) in [
        (
            pb::ReviewAlertRequest { alert_id: vec![9; 16], ..acting.clone() },
            Code::NotFound,
            "NO_SUCH_ALERT",
        ),
        (
            pb::ReviewAlertRequest { alert_id: vec![9; 3], ..acting.clone() },
            Code::InvalidArgument,
            "INVALID_MESSAGE",
        ),
        (
            pb::ReviewAlertRequest { revision: 7, ..acting.clone() },
            Code::FailedPrecondition,
            "OLD_REVISION",
        ),
        (
            pb::ReviewAlertRequest { action: 0, ..acting.clone() },
            Code::InvalidArgument,
            "INVALID_MESSAGE",
        ),
        (
            // It needs a reason.
            pb::ReviewAlertRequest {
                action: ReviewAction::NoFurtherAction.into(),
                ..acting.clone()
            },
            Code::InvalidArgument,
            "INVALID_MESSAGE",
        ),
        (
            // No line of it has that name.
            pb::ReviewAlertRequest {
                action: ReviewAction::WrongRecord.into(),
                line_id: vec![9; 16],
                ..acting.clone()
            },
            Code::InvalidArgument,
            "INVALID_MESSAGE",
        ),
    ] {
        assert_eq!(inbox.refused(wrong.clone()), (code, reason.to_owned()), "{wrong:?}");
    }
    for (role, who) in
        [(Role::Operator, "somebody"), (Role::Coordinator, "main"), (Role::Node, "police")]
    {
        let stranger = Inbox::of(&village, role, who)?;
        assert_eq!(stranger.refused(acting.clone()).0, Code::PermissionDenied, "{who}");
    }
    assert_eq!(inbox.entry()?.last_action(), ReviewAction::Unspecified, "nothing was kept");
    assert_eq!(state(&village)?, "open");

    let first = inbox.review(acting.clone())?;
    assert_eq!((first.len(), inbox.entry()?.last_action()), (16, ReviewAction::Acting));
    until("the review is with the coordinator", PATIENCE, || {
        Ok((state(&village)? == "reviewed").then_some(()))
    })?;
    // Any action, from any state that is open.
    let in_hand = pb::ReviewAlertRequest {
        action: ReviewAction::AlreadyInHand.into(),
        reason: ReviewReason::WorkerAlreadyInvolved.into(),
        ..acting.clone()
    };
    assert_ne!(inbox.review(in_hand)?, first, "it is another review");
    assert_eq!(inbox.entry()?.last_action(), ReviewAction::AlreadyInHand);

    corrected(&village)?;
    village.sweep()?;
    withdrawn_everywhere(&village, &alert, &told)?;
    let revision = inbox.entry()?.alert.context("an alert")?.revision;
    let late = pb::ReviewAlertRequest { revision, ..acting };
    assert_eq!(inbox.refused(late), (Code::FailedPrecondition, "WITHDRAWN".to_owned()));
    Ok(())
}
