//! Who somebody is: a role and a short name inside one deployment.

use std::{fmt, str::FromStr};

use causeway_proto::ids::AgencyId;

/// What a certificate's holder is in the deployment. One certificate, one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// An agency's node.
    Node,
    /// The coordinator that links the nodes.
    Coordinator,
    /// A keeper of linkage keys.
    Custodian,
    /// A person or system that operates a node or the coordinator.
    Operator,
}

/// The proven name of a member, written `spiffe://<deployment>.causeway/<role>/<id>`.
///
/// ```
/// # use causeway_certs::name::{Identity, Role};
/// let housing: Identity = "spiffe://town.causeway/node/housing".parse()?;
/// assert_eq!(housing.role, Role::Node);
/// assert_eq!(housing.short(), "node/housing");
/// assert_eq!(housing.dns_name(), "housing.node.town.causeway");
/// # Ok::<_, causeway_certs::name::InvalidIdentity>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The deployment, which is also the CA's. Names mean nothing outside it.
    pub deployment: AgencyId,
    /// What the holder is.
    pub role: Role,
    /// Which one of these it is: for a node, its agency.
    pub id: AgencyId,
}

/// The text is not an identity.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not of the form spiffe://<deployment>.causeway/<role>/<id>")]
pub struct InvalidIdentity(String);

/// The text is not a role.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role: use node, coordinator, custodian or operator")]
pub struct InvalidRole(String);

impl Role {
    /// Returns whether a holder of this role has any call to make to a server of that role.
    ///
    /// A node may reach another node because anybody may ask for its health. What it may ask
    /// beyond that is [`admit`](crate::admit)'s to say, with a reason that a handshake cannot give.
    pub fn may_call(self, server: Self) -> bool {
        match server {
            Self::Node => matches!(self, Self::Coordinator | Self::Operator | Self::Node),
            Self::Coordinator => matches!(self, Self::Node | Self::Custodian | Self::Operator),
            Self::Custodian | Self::Operator => false,
        }
    }

    /// Returns whether a holder of this role answers calls at all.
    pub fn serves(self) -> bool {
        matches!(self, Self::Node | Self::Coordinator)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Coordinator => "coordinator",
            Self::Custodian => "custodian",
            Self::Operator => "operator",
        }
    }
}

impl Identity {
    /// Puts a name together.
    pub fn new(deployment: AgencyId, role: Role, id: AgencyId) -> Self {
        Self { deployment, role, id }
    }

    /// Returns the name without its deployment, such as `node/housing`.
    pub fn short(&self) -> String {
        format!("{}/{}", self.role, self.id)
    }

    /// Names both in as few words as tell them apart: their deployments, too, where these differ.
    pub fn told_apart(&self, other: &Self) -> [String; 2] {
        let differ = self.deployment != other.deployment;
        [self, other].map(|identity| match differ {
            true => format!("{} of deployment `{}`", identity.short(), identity.deployment),
            false => identity.short(),
        })
    }

    /// Returns the DNS name that stands beside the identity in the certificate.
    ///
    /// It is logical: nobody resolves it. The dialler hands it to the TLS library, which checks DNS
    /// names and knows nothing of identities.
    pub fn dns_name(&self) -> String {
        format!("{}.{}.{}.causeway", self.id, self.role, self.deployment)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        [Self::Node, Self::Coordinator, Self::Custodian, Self::Operator]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| InvalidRole(text.to_owned()))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}.causeway/{}/{}", self.deployment, self.role, self.id)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({self})")
    }
}

impl FromStr for Identity {
    type Err = InvalidIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidIdentity> {
        parse(text).ok_or_else(|| InvalidIdentity(text.to_owned()))
    }
}

/// Reads an identity of exactly three parts. A deeper path is somebody else's idea of a name.
fn parse(text: &str) -> Option<Identity> {
    let (domain, path) = text.strip_prefix("spiffe://")?.split_once('/')?;
    let (role, id) = path.split_once('/')?;
    Some(Identity {
        deployment: domain.strip_suffix(".causeway")?.parse().ok()?,
        role: role.parse().ok()?,
        id: id.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_being_written_into_a_certificate() {
        for role in ["node", "coordinator", "custodian", "operator"] {
            let text = format!("spiffe://east-town.causeway/{role}/main-1");
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn anything_but_the_one_form_is_refused() {
        for bad in [
            "",
            "spiffe://town.causeway",
            "spiffe://town.causeway/node",
            "spiffe://town.causeway/node/",
            "spiffe://town.causeway/node/housing/",
            "spiffe://town.causeway/node/housing/admin",
            "spiffe://town.causeway//node/housing",
            "spiffe://town.causeway/Node/housing",
            "spiffe://town.causeway/admin/housing",
            "spiffe://town.causeway/node/housing?x",
            "spiffe://town.causeway:443/node/housing",
            "spiffe://a.town.causeway/node/housing",
            "spiffe://town.example/node/housing",
            "SPIFFE://town.causeway/node/housing",
            "https://town.causeway/node/housing",
            " spiffe://town.causeway/node/housing",
        ] {
            assert!(bad.parse::<Identity>().is_err(), "{bad}");
        }
    }

    #[test]
    fn custodians_and_operators_answer_nobody() {
        for server in [Role::Custodian, Role::Operator] {
            assert!(!server.serves());
            for client in [Role::Node, Role::Coordinator, Role::Custodian, Role::Operator] {
                assert!(!client.may_call(server));
            }
        }
    }
}
