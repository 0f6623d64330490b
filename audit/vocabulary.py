"""What most evidence records have in common: the preset dictionary that they are stored by, as bytes.

Never changed: records were stored by it, and are read with it alone. Another one gets a number of its own in
`audit.pressing`. Words that come often, and in the order of the commonest records, stand at its end.
"""

from typing import Final

_RARE: Final = (
    b'"},"basis":"","before":"keep_days":,"entries":"ranges":[{"partition":0,"from":0,"to":"scope":{"refs":[],'
    b'"since":null,"until":null},"hold":"hld_","erasure":"ers_","leaf_sha256":"","origin":"/1","index":'
    b'"kind":"evidence.erased","kind":"evidence.expired","kind":"hold.set","kind":"hold.lifted",'
    b'"kind":"heads.anchored","width":,"root":"","kind":"epoch.opened","previous":{"size":,'
    b'"kind":"retention.hole","key":"","purpose":"","public_key":"","signs_from":,"ends_at":null,'
    b'"compromised_at":null,"kind":"key.changed","kind":"partner.changed","kind":"credential.changed",'
    b'"action":"created","scopes":["","not_after":null,"kind":"contract.changed","revision":,'
    b'"before_sha256":null,"after_sha256":"","kind":"endpoint.changed","name":"","kind":"endpoint.probed",'
    b'"purpose":"test","webhook_id":"evt_","failure":null,"kind":"stream.acknowledged","consumer":"",'
    b'"types":["","kind":"replay.changed","replay":"rpl_","which":"undelivered","rate":,'
    b'"kind":"content.read","route":"GET /v1/partners/{p}/history/{ref}/content","until":'
)
_DELIVERIES: Final = (
    b'"kind":"delivery.retried","kind":"delivery.cancelled","kind":"delivery.acknowledged","token":"eyJ",'
    b'"kind":"delivery.parked","attempts":,"reason":"","by":{"role":"operator","credential":"crd_"}}'
    b'"kind":"event.forwarded","to":"","as":"","code":null}"kind":"event.unreadable","direction":"outbound",'
    b'"kind":"event.unrouted","topic_id":"","offset":,"kind":"event.refused","ref":null,"id":null,'
    b'"record":null,"code":"event_invalid","faults":[{"pointer":"/","code":"type"},{"pointer":"/",'
    b'"code":"unknown_field"}],"faults_total":,"method":"bearer","count":1,"since":'
)
_ATTEMPTED: Final = (
    b'{"v":1,"kind":"delivery.attempted","iss":"https://","log":"/log/","at":17","salt":"","partner":"",'
    b'"ref":"evt_","source":"/","id":"","type":"com.","endpoint":"ep_","url":"https://","attempt":"att_",'
    b'"number":1,"content_sha256":"\x01","content_length":,"status":503,"reason":"server_error",'
    b'"status":200,"reason":null,"ms":,"answer_sha256":"\x01","outcome":"retry"}"outcome":"delivered"}'
)
_ACCEPTED: Final = (
    b'{"v":1,"kind":"event.accepted","iss":"https://gateway.","log":"/log/","at":18","salt":"","partner":"",'
    b'"direction":"inbound","ref":"evt_","source":"/partners/","id":"","type":"com.",'
    b'"attributes":{"subject":"","time":"2026-T00:00:00Z"},"attributes":{},"content":{"sha256":"\x01",'
    b'"length":,"type":"application/json","encoding":"identity"},"schema":{"subject":"partners.inbound-com.",'
    b'"version":1,"id":1,"fingerprint":"\x01"},"record":{"sha256":"\x01","topic":"partners.inbound",'
    b'"partition":0},"event_sha256":"\x01","validation":"passed","origin":"none","auth":{"method":"api_key",'
    b'"credential":"crd_"},"contract":1,"clock":{"source":"host","within_ms":5000},'
    b'"keep":{"content_days":90,"evidence_days":2555,"hold":null}}'
)

VOCABULARY: Final = _RARE + _DELIVERIES + _ATTEMPTED + _ACCEPTED
