//! What do commands about groups and membership change?

use std::sync::Arc;

use super::{Draft, Refusal, validate};
use crate::{Change, EventType, Group, GroupId, GroupUpdate, NewGroup, Target, TargetKind, User, UserId};

impl<'a> Draft<'a> {
    pub(super) fn create_group(&mut self, new: &NewGroup) -> Result<(), Refusal> {
        if self.snapshot.group(new.id).is_some() {
            return Err(Refusal::NotUnique {
                what: "group",
                field: "id",
            });
        }
        let group = Group {
            id: new.id,
            name: new.name.clone(),
            description: new.description.clone(),
            parents: Default::default(),
            created: self.now,
            updated: self.now,
            version: self.snapshot.revision(),
        };
        self.put_group(group, EventType::GroupCreate)
    }

    pub(super) fn update_group(&mut self, id: GroupId, update: &GroupUpdate) -> Result<(), Refusal> {
        let old = Group::clone(self.group(id)?);
        let update = update.clone();
        let group = Group {
            name: update.name.unwrap_or(old.name),
            description: update.description.unwrap_or(old.description),
            updated: self.now,
            ..old
        };
        self.put_group(group, EventType::GroupUpdate)
    }

    /// Takes the group out of every record that names it, so its cost grows with its members and subgroups.
    pub(super) fn delete_group(&mut self, id: GroupId) -> Result<(), Refusal> {
        let snapshot = self.snapshot;
        let target = Target::from(&**self.group(id)?);
        for member in snapshot.members(id) {
            self.put_member(&member, |groups| groups.remove(&id));
        }
        for subgroup in snapshot.subgroups(id) {
            self.put_subgroup(subgroup, |parents| parents.remove(&id));
        }
        self.changes.push(Change::DeleteGroup(id));
        self.event(EventType::GroupDelete, [target]);
        Ok(())
    }

    /// Adding a member again is no error.
    pub(super) fn add_member(&mut self, group: GroupId, user: UserId) -> Result<(), Refusal> {
        let (group, user) = (self.group(group)?, self.user(user)?);
        self.put_member(&user, |groups| groups.insert(group.id));
        self.event(
            EventType::GroupMemberAdd,
            [Target::from(&**group), Target::from(&*user)],
        );
        Ok(())
    }

    /// Removing who is no member is no error.
    pub(super) fn remove_member(&mut self, group: GroupId, user: UserId) -> Result<(), Refusal> {
        let (group, user) = (self.group(group)?, self.user(user)?);
        self.put_member(&user, |groups| groups.remove(&group.id));
        self.event(
            EventType::GroupMemberRemove,
            [Target::from(&**group), Target::from(&*user)],
        );
        Ok(())
    }

    /// Adding a subgroup again is no error.
    pub(super) fn add_subgroup(&mut self, group: GroupId, subgroup: GroupId) -> Result<(), Refusal> {
        let (group, subgroup) = (self.group(group)?, self.group(subgroup)?);
        if self.snapshot.closure([group.id]).contains(&subgroup.id) {
            return Err(Refusal::Circle);
        }
        self.put_subgroup(subgroup, |parents| parents.insert(group.id));
        self.event(
            EventType::SubgroupAdd,
            [Target::from(&**group), Target::from(&**subgroup)],
        );
        Ok(())
    }

    /// Removing what is no subgroup is no error.
    pub(super) fn remove_subgroup(&mut self, group: GroupId, subgroup: GroupId) -> Result<(), Refusal> {
        let (group, subgroup) = (self.group(group)?, self.group(subgroup)?);
        self.put_subgroup(subgroup, |parents| parents.remove(&group.id));
        self.event(
            EventType::SubgroupRemove,
            [Target::from(&**group), Target::from(&**subgroup)],
        );
        Ok(())
    }

    fn group(&self, id: GroupId) -> Result<&'a Arc<Group>, Refusal> {
        self.snapshot
            .group(id)
            .ok_or_else(|| Refusal::not_found(TargetKind::Group, id))
    }

    fn put_member(&mut self, user: &User, change: impl FnOnce(&mut Groups) -> bool) {
        let mut user = User {
            updated: self.now,
            ..user.clone()
        };
        change(&mut user.groups);
        self.changes.push(Change::PutUser(Box::new(user)));
    }

    fn put_subgroup(&mut self, group: &Group, change: impl FnOnce(&mut Groups) -> bool) {
        let mut group = Group {
            updated: self.now,
            ..group.clone()
        };
        change(&mut group.parents);
        self.changes.push(Change::PutGroup(Box::new(group)));
    }

    fn put_group(&mut self, group: Group, event_type: EventType) -> Result<(), Refusal> {
        validate::group_name("name", &group.name)?;
        validate::note("description", &group.description)?;
        if self
            .snapshot
            .group_by_name(&group.name)
            .is_some_and(|known| known.id != group.id)
        {
            return Err(Refusal::NotUnique {
                what: "group",
                field: "name",
            });
        }
        self.event(event_type, [Target::from(&group)]);
        self.changes.push(Change::PutGroup(Box::new(group)));
        Ok(())
    }
}

type Groups = std::collections::BTreeSet<GroupId>;
