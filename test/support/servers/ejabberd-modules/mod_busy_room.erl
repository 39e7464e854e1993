%%% A message in a room with the id `busy` keeps that room busy until somebody waits for it, and then for
%%% longer than others of this server wait: ejabberd's own calls give up after 5 seconds. One with the
%%% id `crash` ends the room then. The sender gets one from the room as soon as it is busy.
-module(mod_busy_room).
-behaviour(gen_mod).

-export([start/2, stop/1, depends/2, mod_options/1, mod_doc/0, filter/3]).

-include("xmpp.hrl").

start(Host, _Opts) ->
    ejabberd_hooks:add(muc_filter_message, Host, ?MODULE, filter, 50).

stop(Host) ->
    ejabberd_hooks:delete(muc_filter_message, Host, ?MODULE, filter, 50).

depends(_Host, _Opts) -> [].
mod_options(_Host) -> [].
mod_doc() -> #{}.

%% In the process of the room.
filter(#message{id = <<"busy">>} = Msg, _Room, _Nick) ->
    await_question(Msg),
    Room = self(),
    {_, Caller} = spawn_monitor(fun() -> mod_muc_room:is_subscribed(Room, Msg#message.from) end),
    receive
        {'DOWN', Caller, _, _, _} -> drop
    end;
filter(#message{id = <<"crash">>} = Msg, _Room, _Nick) ->
    await_question(Msg),
    exit(self(), kill);
filter(Msg, _Room, _Nick) ->
    Msg.

await_question(#message{from = From, to = To} = Msg) ->
    ejabberd_router:route(Msg#message{from = jid:remove_resource(To), to = From}),
    receive
        {'$gen_sync_all_state_event', _, _} = Question -> self() ! Question
    end.
