//! Keeps an alert below what a message may hold: one that is larger would never arrive, and what others
//! say of themselves must not decide whether it does.

use causeway_proto::{alert::Alert, limits::ALERT_BYTES, pb};
use prost::Message;

/// What an alert says that leaves out whom to ring.
const NO_CONTACTS: &str =
    "Whom to ring is left out, because this would have become too long to send";

/// Returns an alert as it is delivered. One that is too large leaves out whom to ring, and says so;
/// `None` where that is not enough.
pub fn encoded(alert: Alert) -> Option<Vec<u8>> {
    let mut alert = pb::Alert::from(alert);
    if alert.encoded_len() > ALERT_BYTES {
        alert.involved.iter_mut().for_each(|involved| involved.contact = None);
        alert.unknowns.push(NO_CONTACTS.to_owned());
    }
    (alert.encoded_len() <= ALERT_BYTES).then(|| alert.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use causeway_proto::{
        alert::{AlertSubject, Involvement, Tier},
        catalogue::AgencyKind,
        day::Day,
        ids::{AlertId, Handle, SweepId},
        limits::MESSAGE_BYTES,
        sweep::Contact,
    };

    use super::*;
    use crate::alert::withdrawal;

    fn alert(contact_bytes: usize, handles: usize) -> Alert {
        let contact = Contact { phone: "1".repeat(contact_bytes), ..Contact::default() };
        let involved = Involvement {
            agency: "police".parse().unwrap(),
            kind: AgencyKind::Police,
            contact: Some(contact),
        };
        let ids = (AlertId::from_bytes([1; 16]), 1, SweepId::new(1, [0; 8]));
        let about = (AlertSubject::Household, Tier::T3, Day::new(2025, 2, 25).unwrap());
        let handles = vec![Handle::from_bytes([2; 16]); handles];
        Alert { involved: vec![involved], handles, ..withdrawal(ids, about, "causeway-1") }
    }

    #[test]
    fn whom_to_ring_gives_way_before_an_alert_grows_too_large_to_arrive() {
        let read = |body: Vec<u8>| pb::Alert::decode(&*body).unwrap();
        let ordinary = read(encoded(alert(20, 3)).unwrap());
        assert_eq!((ordinary.involved[0].contact.is_some(), ordinary.unknowns.len()), (true, 0));

        let body = encoded(alert(2 * MESSAGE_BYTES, 3)).unwrap();
        assert!(body.len() < ALERT_BYTES);
        let cut = read(body);
        assert_eq!((cut.involved[0].contact.as_ref(), cut.handles.len()), (None, 3));
        assert_eq!(cut.unknowns, [NO_CONTACTS]);

        assert_eq!(encoded(alert(20, 60_000)), None);
    }
}
