"""Canonical routes of delivery."""

from collections.abc import Collection
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.authentication import actor_of
from accounts.models import User
from delivery import access, selectors
from delivery.access import Standing, standing_in
from delivery.enums import DeliveryStatus, Duty
from delivery.errors import DeliveryNotFound
from delivery.geo import Point
from delivery.models import Delivery
from delivery.order_tracking import order_tracking
from delivery.payloads import (
    courier_payload,
    delivery_payload,
    eta_payload,
    location_payload,
    track_payload,
)
from delivery.serializers import (
    AssignInput,
    AttemptInput,
    CourierInput,
    CourierOutput,
    CourierPageOutput,
    CourierQueryInput,
    CreateDeliveryInput,
    DeliveryOutput,
    DeliveryPageOutput,
    DeliveryQueryInput,
    DeliveryRatingInput,
    EtaOutput,
    FixesInput,
    FixesOutput,
    LocationPageOutput,
    LocationQueryInput,
    MoveDeliveryInput,
    OrderTrackingOutput,
    PositionInput,
    ProofInput,
    ProofPartsInput,
    ProofUploadInput,
    ShopRulesInput,
    ShopRulesOutput,
    TrackOutput,
    answer_fixes,
    new_delivery,
    new_proof,
    read_fixes,
)
from delivery.services import (
    assigning,
    couriers,
    creating,
    fixes,
    moves,
    proofs,
    ratings,
    rules,
    tracking,
)
from marketplace.core.errors import Forbidden, MalformedRequest, ValidationFailed
from marketplace.core.http import ApiView, BaseViewSet
from marketplace.core.inputs import read_id
from marketplace.core.limits import request_address
from marketplace.core.pagination import cursor_page, page_limit
from marketplace.core.rendering import MAX_BODY_BYTES, JsonParser, plain_request
from marketplace.core.schema import PAGE
from orders.access import order_to_see
from shops.access import shop_to_serve
from shops.storage import LARGEST_FILE

NEWEST = ("-id",)
SHOP_ID = OpenApiParameter(
    "shop_id", OpenApiTypes.STR, OpenApiParameter.PATH, description="An id or `shop_<number>`"
)


def described(
    delivery: Delivery, actor: User, *, standing: Standing | None = None
) -> dict[str, Any]:
    """The delivery as this person sees it now. standing: what he is to it, where that is known."""
    return delivery_payload(
        delivery,
        standing=standing or standing_in(actor, delivery),
        place=selectors.whereabouts(delivery),
    )


def _place_asked_for(asked: dict[str, Any], actor: User) -> Point | None:
    """The place in a query, or where the delivery in it goes."""
    if asked.get("delivery_id"):
        return access.delivery_to_run(actor=actor, key=asked["delivery_id"]).destination
    return (asked["latitude"], asked["longitude"]) if "latitude" in asked else None


class DeliveryViewSet(BaseViewSet):
    """Deliveries of the caller."""

    # What a new one names, and is not there.
    also_answers: ClassVar[Collection[int]] = (404,)

    @extend_schema(
        operation_id="deliveries_list", tags=["delivery"],
        summary="What I send, carry or wait for, newest first",
        parameters=[
            *PAGE,
            OpenApiParameter("status", OpenApiTypes.STR, enum=DeliveryStatus.values),
            OpenApiParameter("offered", OpenApiTypes.BOOL, description="What I may take now"),
        ],
        responses={200: DeliveryPageOutput},
    )  # fmt: skip
    def list(self, request: Request) -> Response:
        """A page of deliveries: the same queries, however long it is."""
        actor = actor_of(request)
        asked = self.read_query(DeliveryQueryInput)
        if asked.get("offered"):
            found = selectors.deliveries_offered_to(actor)
        else:
            found = selectors.deliveries_of(actor, status=asked.get("status") or "")
        staffed = selectors.staffed_shops(actor)
        return Response(
            cursor_page(
                found,
                request=request,
                order=NEWEST,
                to_wire=lambda one: delivery_payload(
                    one, standing=standing_in(actor, one, staffed=staffed)
                ),
            )
        )

    @extend_schema(
        operation_id="deliveries_create", tags=["delivery"], summary="Have something delivered",
        description="`order_id` alone: shop, customer and destination are the order's; for its "
        "owner and the shop's staff. Without an order `shop_id`, `customer_id` and `destination`, "
        "for the shop's staff. With `courier_id` (staff) it is assigned at once, without it the "
        "nearest free courier gets an offer.",
        request=CreateDeliveryInput, responses={201: DeliveryOutput},
    )  # fmt: skip
    def create(self, request: Request) -> Response:
        """A new delivery."""
        actor = actor_of(request)
        wanted = new_delivery(self.read(CreateDeliveryInput))
        delivery = creating.create_delivery(actor=actor, wanted=wanted)
        return Response(described(delivery, actor), status=201)

    @extend_schema(
        operation_id="deliveries_retrieve", tags=["delivery"], summary="One delivery",
        responses={200: DeliveryOutput},
    )  # fmt: skip
    def retrieve(self, request: Request, delivery_id: str) -> Response:
        """One delivery of the caller."""
        actor = actor_of(request)
        delivery, standing = access.delivery_with_standing(actor=actor, key=delivery_id)
        return Response(described(delivery, actor, standing=standing))

    @extend_schema(
        operation_id="deliveries_move", tags=["delivery"], summary="Move it on",
        description="The courier forward; staff anywhere that there is a way; the customer "
        "`delivered` at the door and `cancelled` before it is on its way. `assigned` says that "
        "the attempt failed. Any other move: 409 `illegal_transition`.",
        request=MoveDeliveryInput, responses={200: DeliveryOutput},
    )  # fmt: skip
    def move(self, request: Request, delivery_id: str) -> Response:
        """It stands elsewhere."""
        actor = actor_of(request)
        asked = self.read(MoveDeliveryInput)
        proof = new_proof(asked.pop("proof", None))
        delivery = moves.move_delivery(actor=actor, delivery_id=delivery_id, proof=proof, **asked)
        return Response(described(delivery, actor))

    @extend_schema(
        operation_id="deliveries_fail_attempt", tags=["delivery"],
        summary="It could not be handed over",
        description="It is `assigned` again, `attempts` is one more.",
        request=AttemptInput, responses={200: DeliveryOutput},
    )  # fmt: skip
    def attempt(self, request: Request, delivery_id: str) -> Response:
        """The attempt has failed."""
        actor = actor_of(request)
        delivery = moves.fail_attempt(
            actor=actor, delivery_id=delivery_id, **self.read(AttemptInput)
        )
        return Response(described(delivery, actor))

    @extend_schema(
        operation_id="deliveries_assign", tags=["delivery"], summary="Name its courier",
        description="For staff of its shop, at once, while it has not set off.",
        request=AssignInput, responses={200: DeliveryOutput},
    )  # fmt: skip
    def assign(self, request: Request, delivery_id: str) -> Response:
        """This courier carries it."""
        actor = actor_of(request)
        delivery = assigning.assign_courier(
            actor=actor, delivery_id=delivery_id, **self.read(AssignInput)
        )
        return Response(described(delivery, actor))

    @extend_schema(
        operation_id="deliveries_accept", tags=["delivery"], summary="Take the offer",
        request=None, responses={200: DeliveryOutput},
    )  # fmt: skip
    def accept(self, request: Request, delivery_id: str) -> Response:
        """The caller carries what he was offered."""
        actor = actor_of(request)
        delivery = assigning.accept_offer(actor=actor, delivery_id=delivery_id)
        return Response(described(delivery, actor))

    @extend_schema(
        operation_id="deliveries_decline", tags=["delivery"], summary="Let the offer pass on",
        request=None, responses={204: None},
    )  # fmt: skip
    def decline(self, request: Request, delivery_id: str) -> Response:
        """The next courier is asked."""
        assigning.decline_offer(actor=actor_of(request), delivery_id=delivery_id)
        return Response(status=204)

    @extend_schema(
        operation_id="deliveries_rate", tags=["delivery"], summary="Say how it went",
        description="For its customer, once, after it was delivered.",
        request=DeliveryRatingInput, responses={200: DeliveryOutput},
    )  # fmt: skip
    def rate(self, request: Request, delivery_id: str) -> Response:
        """The customer's word on it."""
        actor = actor_of(request)
        delivery = ratings.rate_delivery(
            actor=actor, delivery_id=delivery_id, **self.read(DeliveryRatingInput)
        )
        return Response(described(delivery, actor))

    @extend_schema(
        operation_id="deliveries_renew_link", tags=["delivery"], summary="Give it another link",
        description="For staff of its shop, where the link has come into wrong hands: the new one "
        "is in `tracking_token`, the one before leads nowhere at once.",
        request=None, responses={200: DeliveryOutput},
    )  # fmt: skip
    def renew_link(self, request: Request, delivery_id: str) -> Response:
        """The link that was given out is worth nothing any more."""
        actor = actor_of(request)
        return Response(described(tracking.renew_link(actor=actor, delivery_id=delivery_id), actor))

    @extend_schema(
        operation_id="deliveries_eta", tags=["delivery"], summary="When it arrives",
        description="All null with a `reason` where nobody knows.",
        responses={200: EtaOutput},
    )  # fmt: skip
    def eta(self, request: Request, delivery_id: str) -> Response:
        """The time of arrival, with its interval."""
        delivery = access.delivery_to_see(actor=actor_of(request), key=delivery_id)
        return Response(eta_payload(selectors.eta_of(delivery)))


class ProofViewSet(BaseViewSet):
    """Proof of one delivery."""

    parser_classes = (JsonParser, MultiPartParser)
    # A photo and what stands around it.
    max_body_bytes: ClassVar[int] = LARGEST_FILE + MAX_BODY_BYTES

    def get_bucket(self) -> str | None:
        """Files are counted apart."""
        return "upload" if self._is_form() else super().get_bucket()

    def _is_form(self) -> bool:
        return (self.request.content_type or "").startswith("multipart/")

    @extend_schema(
        operation_id="deliveries_prove", tags=["delivery"], summary="Give proof",
        description="On the way and at the door, by its courier or the shop's staff: a link to a "
        "photo or the photo itself, the customer's PIN, who has signed. A wrong PIN: 409 "
        "`proof_required`, `details.reason` `pin_wrong`, after five of them `pin_locked`.",
        request={"application/json": ProofInput, "multipart/form-data": ProofUploadInput},
        responses={201: DeliveryOutput},
    )  # fmt: skip
    def create(self, request: Request, delivery_id: str) -> Response:
        """The delivery has this proof."""
        actor = actor_of(request)
        if self._is_form():
            photo = request.FILES.get("file")
            if photo is None:
                raise ValidationFailed.for_fields({"file": ["This field is required."]})
            proof = new_proof(self.read(ProofPartsInput), photo=photo)
        else:
            proof = new_proof(self.read(ProofInput))
        delivery = proofs.add_proof(
            actor=actor, delivery_id=delivery_id, proof=proof or proofs.Proof()
        )
        return Response(described(delivery, actor), status=201)


class ShopRulesViewSet(BaseViewSet):
    """What a shop asks of its deliveries."""

    @extend_schema(
        operation_id="shop_delivery_rules_retrieve", tags=["delivery"],
        summary="What a shop asks for at the door", description="For its staff.",
        parameters=[SHOP_ID], responses={200: ShopRulesOutput},
    )  # fmt: skip
    def retrieve(self, request: Request, shop_id: str) -> Response:
        """The shop's rules."""
        shop = shop_to_serve(actor=actor_of(request), key=shop_id)
        return Response({"proof_kind": selectors.proof_kind_of(shop.id)})

    @extend_schema(
        operation_id="shop_delivery_rules_update", tags=["delivery"],
        summary="Ask for a proof at the door",
        description="For its owner and managers; it holds for deliveries made from then on.",
        parameters=[SHOP_ID], request=ShopRulesInput, responses={200: ShopRulesOutput},
    )  # fmt: skip
    def update(self, request: Request, shop_id: str) -> Response:
        """The shop asks for this proof from now on."""
        kind = rules.set_proof(
            actor=actor_of(request), shop_id=shop_id, **self.read(ShopRulesInput)
        )
        return Response({"proof_kind": kind.value})


class LocationViewSet(BaseViewSet):
    """The trail of one delivery."""

    @extend_schema(
        operation_id="deliveries_locations", tags=["delivery"], summary="The trail, oldest first",
        parameters=[
            *PAGE,
            OpenApiParameter(
                "rejected", OpenApiTypes.BOOL, description="With what was kept and not used"
            ),
        ],
        responses={200: LocationPageOutput},
    )  # fmt: skip
    def list(self, request: Request, delivery_id: str) -> Response:
        """A page of positions."""
        delivery = access.delivery_to_see(actor=actor_of(request), key=delivery_id)
        asked = self.read_query(LocationQueryInput)
        return Response(
            cursor_page(
                selectors.locations_of(delivery, rejected=bool(asked.get("rejected"))),
                request=request,
                order=("recorded_at", "id"),
                to_wire=location_payload,
            )
        )

    @extend_schema(
        operation_id="deliveries_locate", tags=["delivery"], summary="Say where it is",
        description="For its courier, while it is on its way: one position, or up to 100 as "
        "`points`, also late ones; each is kept, and answered with what became of it. At most two "
        "requests a second.",
        request=FixesInput, responses={200: FixesOutput},
    )  # fmt: skip
    def create(self, request: Request, delivery_id: str) -> Response:
        """Store positions."""
        if not isinstance(request.data, dict):
            raise MalformedRequest("An object is expected.")
        found = read_id(delivery_id)
        if found is None:
            raise DeliveryNotFound
        command = read_fixes(request.data, actor=actor_of(request), delivery_id=found)
        return Response(answer_fixes(fixes.record_command(command)))


class TrackView(ApiView):
    """`GET /track/{token}`: for whoever has the link."""

    identity = "none"

    @extend_schema(
        operation_id="track", tags=["delivery"], summary="A delivery by its link",
        description="No sign-in. Wrong and ended links: 404 `delivery_not_found`, 30 a minute.",
        responses={200: TrackOutput},
    )  # fmt: skip
    def get(self, request: Request, token: str) -> Response:
        """Status, rough position, time of arrival, the courier's first name."""
        address = request_address(plain_request(request))
        delivery = tracking.find_by_token(token, address)
        return Response(track_payload(delivery, place=selectors.whereabouts(delivery)))


class OrderTrackingView(ApiView):
    """`GET /orders/{id}/tracking`."""

    @extend_schema(
        operation_id="orders_tracking", tags=["delivery"], summary="Where an order is",
        description="Its history, and one entry per shop in `deliveries`; `estimated_delivery` is "
        "the time of arrival, else some days after the order.",
        responses={200: OrderTrackingOutput},
    )  # fmt: skip
    def get(self, request: Request, order_id: str) -> Response:
        """The tracking view of one order."""
        actor = actor_of(request)
        return Response(order_tracking(order_to_see(actor, order_id), actor=actor))


class CourierViewSet(BaseViewSet):
    """Couriers, for people who send things; and the caller as one."""

    # The delivery that a list asks about, and is not there.
    also_answers: ClassVar[Collection[int]] = (404,)

    @extend_schema(
        operation_id="couriers_list", tags=["delivery"], summary="Couriers",
        description="For staff of any shop and admins, newest first. With a place, or a delivery "
        "that goes to one: the nearest first with `distance_m`, those of unknown place last, on "
        "one page.",
        parameters=[
            *PAGE,
            OpenApiParameter("duty", OpenApiTypes.STR, enum=Duty.values),
            OpenApiParameter("latitude", OpenApiTypes.DOUBLE),
            OpenApiParameter("longitude", OpenApiTypes.DOUBLE),
            OpenApiParameter("delivery_id", OpenApiTypes.UUID, description="Instead of a place"),
        ],
        responses={200: CourierPageOutput},
    )  # fmt: skip
    def list(self, request: Request) -> Response:
        """A page of couriers."""
        actor = actor_of(request)
        if not access.may_see_couriers(actor):
            raise Forbidden
        asked = self.read_query(CourierQueryInput)
        duty = asked.get("duty") or ""
        place = _place_asked_for(asked, actor)
        if place is not None:
            near = selectors.couriers_near(place, duty=duty, count=page_limit(request.GET))
            told = [courier_payload(row, distance_m=distance) for row, distance in near]
            return Response({"items": told, "next_cursor": None})
        return Response(
            cursor_page(
                selectors.list_couriers(duty=duty),
                request=request,
                order=NEWEST,
                to_wire=courier_payload,
            )
        )

    @extend_schema(
        operation_id="couriers_update_me", tags=["delivery"], summary="Go on or off duty",
        description="For couriers. Off duty one's position is forgotten. PATCH is the same.",
        request=CourierInput, responses={200: CourierOutput},
    )  # fmt: skip
    def update(self, request: Request) -> Response:
        """How the caller works from now on."""
        courier = couriers.set_duty(
            actor=actor_of(request), **self.read(CourierInput, partial=True)
        )
        return Response(courier_payload(courier))

    @extend_schema(
        operation_id="couriers_patch_me", tags=["delivery"], summary="Go on or off duty",
        request=CourierInput, responses={200: CourierOutput},
    )  # fmt: skip
    def partial_update(self, request: Request) -> Response:
        """PATCH: the same as PUT."""
        return self.update(request)

    @extend_schema(
        operation_id="couriers_locate_me", tags=["delivery"], summary="Say where one is",
        description="For couriers on duty, so that what is near is offered to them.",
        request=PositionInput, responses={200: CourierOutput},
    )  # fmt: skip
    def locate(self, request: Request) -> Response:
        """The caller is here."""
        courier = couriers.report_position(actor=actor_of(request), **self.read(PositionInput))
        return Response(courier_payload(courier))
