#!/usr/bin/python
"""Look up machine images by core IT's criteria."""

from __future__ import annotations

DOCUMENTATION = r"""
module: approved_images
short_description: Look up machine images by core IT's criteria
description:
  - For each key, finds the newest image with the given owner, tags and architecture that is not too old.
  - Image ids change with every monthly build; criteria do not, so the data holds criteria only.
  - Changes nothing. One API call, whatever the number of keys.
options:
  images:
    description: What core IT approves, by key.
    type: dict
    required: true
    # Each value is a dictionary with owner (account id), tags, architecture, max_age_days and on_old.
  max_age_days:
    description:
      - Age above which an image is refused, because its security updates are too old.
      - A key's own C(max_age_days) goes before this.
    type: int
    default: 180
  on_old:
    description:
      - Whether an image that is too old is refused, or used with a warning, or used silently.
      - A key's own C(on_old) goes before this; that is how an exception for one image arrives here.
    type: str
    choices: ["refuse", "warn", "off"]
    default: refuse
  only:
    description: Keys to look up; all when left out.
    type: list
    elements: str
  in_use:
    description: Image ids in use, about which RV(in_use) then tells whether a newer one exists.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - atelier.datalab.attributes.read_only
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
author: [Atelier Datalab]
"""

EXAMPLES = r"""
- name: Find today's approved images
  atelier.datalab.approved_images:
    region: eu-west-1
    images:
      debian-12: {owner: "210987654321", tags: {CoreIT: approved, Os: debian-12}, architecture: x86_64}
    max_age_days: 90
  register: approved
"""

RETURN = r"""
ids:
  description: Image id by key.
  type: dict
  returned: success
  sample: {debian-12: ami-0123456789abcdef0}
late_values:
  description: The same, with keys as O(atelier.datalab.stacks#module:late_values) takes them.
  type: dict
  returned: success
  sample: {image.debian-12: ami-0123456789abcdef0}
images:
  description: >-
    By key: C(image_id), C(name), C(creation_date), C(age_days), C(too_old) (in words, or empty), C(on_old) (what
    that leads to), and C(older), other images that meet the criteria.
  type: dict
  returned: success
in_use:
  description: >-
    By image id in use: C(key) it belongs to, whether it is still C(approved), and the C(newer) image if any.
  type: dict
  returned: success
"""

from datetime import UTC, datetime

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.atelier.datalab.plugins.module_utils import _aws, _images


def main() -> None:
    """Entry point."""
    module = AnsibleAWSModule(
        argument_spec={
            "images": {"type": "dict", "required": True},
            "max_age_days": {"type": "int", "default": 180},
            "on_old": {"type": "str", "choices": ["refuse", "warn", "off"], "default": "refuse"},
            "only": {"type": "list", "elements": "str"},
            "in_use": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        criteria = _images.read_criteria(
            params["images"],
            params["max_age_days"],
            only=params["only"],
            on_old=params["on_old"],
        )
        pages = (
            _aws.client(module, "ec2")
            .get_paginator("describe_images")
            .paginate(Owners=sorted({wanted.owner for wanted in criteria}))
        )
        found = [image for page in pages for image in page["Images"]] if criteria else []
        chosen = _images.select(criteria, found, datetime.now(UTC))
    except KeyError as error:
        module.fail_json(msg=f"images: every key needs {error}")
    except _images.ImagesError as error:
        module.fail_json(msg=str(error))
    except _aws.AWS_ERRORS as error:
        module.fail_json(msg=f"Images cannot be looked up: {_aws.sentence(error)}")
    for key, facts in chosen.items():
        if facts["too_old"] and facts["on_old"] == "warn":
            module.warn(f"Image {key} ({facts['image_id']}) is {facts['too_old']}; ask core IT for a newer one")
    ids = {key: facts["image_id"] for key, facts in chosen.items()}
    module.exit_json(
        changed=False,
        ids=ids,
        late_values={f"image.{key}": image_id for key, image_id in ids.items()},
        images=chosen,
        in_use=_images.standing(params["in_use"], chosen),
    )


if __name__ == "__main__":
    main()
