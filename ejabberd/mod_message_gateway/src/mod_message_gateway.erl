%%% Lets xmpp-message-gateway speak exactly as a client of the user would. README.md in the folder
%%% above says what it does, how it is installed and what its options are. For ejabberd 23.01 and
%%% newer.
%%%
%%% What a gateway's component sends from user@host/resource goes through that user's own
%%% processing, as if it had come over c2s (RFC 6120 §10); what comes back to that resource goes to
%%% the component. No session is opened, and nothing is kept for a user.
%%%
%%% Everything happens in the process of the component's stream, one stanza after the other. What the
%%% component hears of a stanza must be in that process's mailbox before the answer to the next
%%% question, because to the gateway that answer means that the stanza was not refused.
-module(mod_message_gateway).
-behaviour(gen_mod).

-export([start/2, stop/1, reload/3, depends/2, mod_opt_type/1, mod_options/1, mod_doc/0]).
-export([component_send_packet/1, component_disconnected/2, sm_receive_packet/1]).
-export([ejabberd_stopping/0, c2s_handle_call/3]).

-include("logger.hrl").
-include("xmpp.hrl").

-define(NS_GATEWAY, <<"urn:xmpp-message-gateway:0">>).
-define(VERSION, <<"1">>).

%% Before mod_privilege (50), which from 24.10 on drops what is not privileged.
-define(BEFORE_ALL, 5).
%% After mod_mam and the filters (50): where ejabberd_sm looks for a session.
-define(AT_THE_CLIENT, 90).

%% Levels of elements inside a stanza. A few thousand crash the Erlang VM when they are written
%% out, and again at each login of a user for whom they were stored.
-define(MAX_DEPTH, 200).
%% Resources of one stream that are remembered; a gateway uses one.
-define(MAX_RESOURCES, 1000).
%% How long an accepted sender stays accepted on a stream, and how many do: accounts, bans, access
%% rules and sessions are looked up once a second at most, as for a client at its login.
-define(ACCEPTED_MS, 1000).
-define(MAX_ACCEPTED, 1000).
%% How long to wait for another process of this server.
-define(WAIT_MS, 20000).
%% How long a stop of ejabberd waits for clients to take their messages.
-define(STOPPING_MS, 5000).

%% Which stream last spoke from a resource. In a cluster every node has the table.
-record(message_gateway_speaker, {resource :: binary() | '_', stream :: pid() | '_'}).

-type settings() :: #{components := [binary()],
                      access := acl:acl(),
                      %% The function that knows about banned accounts, where ejabberd has one.
                      bans := none | {module(), atom()},
                      %% Other settings have another one: then everybody is looked up again.
                      id := reference()}.
-type stream() :: ejabberd_service:state().
-type reason() :: 'foreign-domain' | 'no-account' | 'not-allowed' | 'resource-in-use'
                | 'privileged-payload'.
-type decision() :: pass | pass_in_language | answer | {speak, known | reference()} | too_deep
                  | {refuse, reason()}
                  | {fail, wait | cancel, binary()}.

%%% The module's life

-spec start(binary(), gen_mod:opts()) -> ok | {error, term()}.
start(Host, Opts) ->
    Definition = [{ram_copies, [node()]},
                  {attributes, record_info(fields, message_gateway_speaker)}],
    case ejabberd_mnesia:create(?MODULE, message_gateway_speaker, Definition) of
        {atomic, ok} ->
            forget_dead_streams(),
            %% What comes back is caught before anything can be sent.
            ejabberd_hooks:add(sm_receive_packet, Host, ?MODULE, sm_receive_packet, ?AT_THE_CLIENT),
            ejabberd_hooks:add(component_disconnected, ?MODULE, component_disconnected, 50),
            set_settings(Host, Opts),
            %% A new one each time the module starts: until then, stanzas may have gone past it.
            persistent_term:put({?MODULE, generation, Host}, make_ref()),
            ejabberd_hooks:add(c2s_handle_call, Host, ?MODULE, c2s_handle_call, 50),
            ejabberd_hooks:add(ejabberd_stopping, ?MODULE, ejabberd_stopping, 50),
            ejabberd_hooks:add(component_send_packet, ?MODULE, component_send_packet, ?BEFORE_ALL);
        {aborted, Reason} ->
            {error, Reason}
    end.

-spec stop(binary()) -> ok.
stop(Host) ->
    _ = persistent_term:erase({?MODULE, Host}),
    _ = persistent_term:erase({?MODULE, generation, Host}),
    case gen_mod:is_loaded_elsewhere(Host, ?MODULE) of
        true ->
            ok;
        false ->
            ejabberd_hooks:delete(component_send_packet, ?MODULE, component_send_packet, ?BEFORE_ALL),
            ejabberd_hooks:delete(ejabberd_stopping, ?MODULE, ejabberd_stopping, 50),
            ejabberd_hooks:delete(component_disconnected, ?MODULE, component_disconnected, 50)
    end,
    ejabberd_hooks:delete(c2s_handle_call, Host, ?MODULE, c2s_handle_call, 50),
    ejabberd_hooks:delete(sm_receive_packet, Host, ?MODULE, sm_receive_packet, ?AT_THE_CLIENT).

-spec reload(binary(), gen_mod:opts(), gen_mod:opts()) -> ok.
reload(Host, NewOpts, _OldOpts) ->
    set_settings(Host, NewOpts).

-spec depends(binary(), gen_mod:opts()) -> [].
depends(_Host, _Opts) ->
    [].

-spec mod_options(binary()) -> [{atom(), term()}].
mod_options(_Host) ->
    [{components, []}, {access, all}].

-spec mod_opt_type(atom()) -> econf:validator().
mod_opt_type(components) -> econf:list_or_single(econf:domain());
mod_opt_type(access) -> econf:acl().

mod_doc() ->
    #{desc => [<<"Treats what xmpp-message-gateway sends for a user as if a client of that user had "
                 "sent it.">>],
      opts => [{components, #{value => "[Domain, ...]",
                              desc => <<"The gateway's component, or several.">>}},
               {access, #{value => "AccessName",
                          desc => <<"The users for whom the gateway may speak. Default: all.">>}}]}.

-spec set_settings(binary(), gen_mod:opts()) -> ok.
set_settings(Host, #{components := Components, access := Access}) ->
    %% From 24.06 on; ejabberd_auth asks it at each login.
    _ = code:ensure_loaded(mod_admin_extra),
    Bans = case erlang:function_exported(mod_admin_extra, get_ban_details, 2) of
               true -> {mod_admin_extra, get_ban_details};
               false -> none
           end,
    Settings = #{components => Components, access => Access, bans => Bans, id => make_ref()},
    persistent_term:put({?MODULE, Host}, Settings).

-spec find_settings(binary(), binary()) -> settings() | none.
find_settings(Host, Component) ->
    case persistent_term:get({?MODULE, Host}, none) of
        #{components := Components} = Settings ->
            case lists:member(Component, Components) of
                true -> Settings;
                false -> none
            end;
        none ->
            none
    end.

-spec is_gateway(binary(), jid()) -> boolean().
is_gateway(Component, #jid{lserver = Domain}) ->
    find_settings(Domain, Component) /= none orelse % nearly always
        lists:any(fun(Host) -> find_settings(Host, Component) /= none end, ejabberd_option:hosts()).

%%% What a component sends

-spec component_send_packet({stanza() | drop, stream()}) ->
          {stanza() | drop, stream()} | {stop, {stanza() | drop, stream()}}.
component_send_packet({drop, _} = Acc) ->
    Acc;
component_send_packet({Pkt, #{remote_server := Component} = Stream} = Acc) ->
    case is_gateway(Component, xmpp:get_from(Pkt)) of
        true ->
            %% ejabberd lets a stanza through when a hook fails. It has to come back instead: the
            %% gateway would take it for delivered.
            Decision = attempt(fun() -> decide(Pkt, Stream) end, wait, Pkt),
            case attempt(fun() -> act(Decision, Pkt, Stream) end, cancel, Pkt) of
                {fail, _, _} = Failure -> act(Failure, Pkt, Stream);
                Result -> Result
            end;
        false ->
            Acc
    end.

%% `wait` while nothing has been done, `cancel` when the stanza may have been processed in part.
attempt(Fun, Type, Pkt) ->
    try
        Fun()
    catch
        Class:Reason:Stack ->
            ?ERROR_MSG("Could not process a ~ts from ~ts:~n** ~ts",
                       [xmpp:get_name(Pkt), jid:encode(xmpp:get_from(Pkt)),
                        misc:format_exception(2, Class, Reason, Stack)]),
            {fail, Type, <<"mod_message_gateway failed; see the log of ejabberd">>}
    end.

-spec decide(stanza(), stream()) -> decision().
decide(Pkt, #{remote_server := Component} = Stream) ->
    From = xmpp:get_from(Pkt),
    case {is_deep(Pkt), xmpp:get_to(Pkt)} of
        {true, _} ->
            too_deep;
        {false, #jid{lserver = Component}} ->
            pass;
        {false, To} when From#jid.lserver == Component ->
            decide_on_itself(Pkt, From, To, Component);
        {false, _} ->
            decide_on_user(Pkt, From, Stream)
    end.

%% From the component's own domain.
decide_on_itself(#iq{type = get, sub_els = [#xmlel{name = <<"gateway">>} = El]},
                 #jid{luser = <<>>, lresource = <<>>},
                 #jid{luser = <<>>, lresource = <<>>, lserver = Host}, Component) ->
    case xmpp:get_ns(El) == ?NS_GATEWAY andalso find_settings(Host, Component) /= none of
        true -> answer;
        false -> pass
    end;
decide_on_itself(Pkt, #jid{luser = Localpart}, _To, Component) ->
    case xmpp:get_type(Pkt) of
        unavailable -> pass; % an occupant may always leave
        _ -> decide_on_occupant(Localpart, Component)
    end.

%% In rooms the gateway's occupants are user%host@component.
decide_on_occupant(Localpart, Component) ->
    case string:split(Localpart, <<"%">>, trailing) of
        [User, Host] when User /= <<>> ->
            Settings = find_settings(Host, Component),
            case Settings == none orelse find_refusal(jid:make(User, Host), Settings) of
                true -> pass;
                none -> pass_in_language;
                Reason -> {refuse, Reason}
            end;
        _ ->
            pass
    end.

decide_on_user(Pkt, #jid{lserver = Host} = From, #{remote_server := Component} = Stream) ->
    IsStopping = persistent_term:get({?MODULE, generation, Host}, none) == stopping,
    case find_settings(Host, Component) of
        none ->
            case ejabberd_router:is_my_host(Host) of
                true -> {fail, wait, <<"mod_message_gateway is not loaded on ", Host/binary>>};
                false -> {refuse, 'foreign-domain'}
            end;
        _ when IsStopping, is_record(Pkt, message) ->
            % Pings are still answered, which would prove a message that is about to be lost.
            {fail, wait, <<"ejabberd is being stopped">>};
        #{id := Id} = Settings ->
            IsKnown = is_accepted(From, Id, Stream),
            case (not IsKnown) andalso find_refusal(From, Settings) of
                Reason when Reason /= false, Reason /= none -> {refuse, Reason};
                Accepted ->
                    case holds_privilege(Pkt) of
                        true -> {refuse, 'privileged-payload'};
                        false when IsKnown -> {speak, known};
                        false when From#jid.lresource == <<>> -> pass;
                        false when Accepted == none -> decide_on_resource(From, Id)
                    end
            end
    end.

decide_on_resource(From, Id) ->
    case is_connected(From) of
        true -> {refuse, 'resource-in-use'};
        false -> {speak, Id}
    end.

is_accepted(From, Id, Stream) ->
    case Stream of
        #{message_gateway := #{accepted := #{From := {Id, Till}}}} ->
            erlang:monotonic_time(millisecond) < Till;
        _ ->
            false
    end.

accept(_From, known, Stream) ->
    Stream;
accept(From, Id, Stream) ->
    Own = maps:get(message_gateway, Stream, #{}),
    Accepted = case maps:get(accepted, Own, #{}) of
                   Full when map_size(Full) >= ?MAX_ACCEPTED -> #{};
                   Others -> Others
               end,
    Till = erlang:monotonic_time(millisecond) + ?ACCEPTED_MS,
    Stream#{message_gateway => Own#{accepted => Accepted#{From => {Id, Till}}}}.

-spec act(decision(), stanza(), stream()) -> {stanza(), stream()} | {stop, {stanza() | drop, stream()}}.
act(pass, Pkt, Stream) ->
    pass(Pkt, Stream);
act(pass_in_language, Pkt, Stream) ->
    pass(add_language(Pkt, Stream), Stream);
act(answer, IQ, Stream) ->
    {stop, {drop, answer(IQ, Stream)}};
act({speak, Id}, Pkt, Stream) ->
    #jid{lresource = Resource} = From = xmpp:get_from(Pkt),
    Stream1 = remember(Resource, accept(From, Id, Stream)),
    case Pkt of
        #message{} ->
            speak(Pkt, From, Stream1),
            {stop, {drop, Stream1}};
        _ ->
            pass(Pkt, Stream1)
    end;
act({fail, Type, Text}, Pkt, Stream) ->
    Err = xmpp:err_internal_server_error(),
    reply_error(Pkt, Err#stanza_error{type = Type, text = text(Text)}, Stream);
act(too_deep, Pkt, Stream) ->
    Text = <<"The stanza is nested too deeply">>,
    reply_error(Pkt, (xmpp:err_policy_violation())#stanza_error{text = text(Text)}, Stream);
act({refuse, Reason}, Pkt, Stream) ->
    ?INFO_MSG("Refused a ~ts from ~ts: ~ts",
              [xmpp:get_name(Pkt), jid:encode(xmpp:get_from(Pkt)), Reason]),
    El = #xmlel{name = <<"sender-refused">>,
                attrs = [{<<"xmlns">>, ?NS_GATEWAY}, {<<"reason">>, atom_to_binary(Reason, utf8)}]},
    Err = xmpp:err_forbidden(),
    reply_error(Pkt, Err#stanza_error{text = text(refusal(Reason)), sub_els = [El]}, Stream).

%% Past mod_privilege: it drops each iq of a component without privileges, and takes the domain of a
%% user that an iq is from for such a component.
pass(#iq{} = IQ, Stream) ->
    case holds_privilege(IQ) of
        true -> {IQ, Stream};
        false -> {stop, {IQ, Stream}}
    end;
pass(Pkt, Stream) ->
    {Pkt, Stream}.

%% Where the module was gone meanwhile, stanzas may have gone past it and their bounces been lost: the
%% answer would promise too much.
-spec answer(iq(), stream()) -> stream().
answer(#iq{to = #jid{lserver = Host}} = IQ, Stream) ->
    Generation = persistent_term:get({?MODULE, generation, Host}, none),
    Own = maps:get(message_gateway, Stream, #{}),
    case maps:get({generation, Host}, Own, Generation) of
        _ when Generation == stopping ->
            ok; % see ejabberd_stopping/0
        Generation ->
            Attrs = [{<<"xmlns">>, ?NS_GATEWAY}, {<<"version">>, ?VERSION}],
            Features = [#xmlel{name = <<"receipts">>}],
            El = #xmlel{name = <<"gateway">>, attrs = Attrs, children = Features},
            send_back(xmpp:make_iq_result(IQ, El));
        _ ->
            Text = <<"mod_message_gateway was gone for a while; ask again">>,
            tell(IQ, (xmpp:err_resource_constraint())#stanza_error{text = text(Text)})
    end,
    Stream#{message_gateway => Own#{{generation, Host} => Generation}}.

%%% Who may be spoken for

%% A bare sender needs no account, for gateways that know nothing of this module.
-spec find_refusal(jid(), settings()) -> reason() | none.
find_refusal(#jid{luser = <<>>}, _Settings) ->
    'no-account';
find_refusal(#jid{lserver = Host, lresource = Resource} = From, #{access := Access} = Settings) ->
    case Resource == <<>> orelse may_log_in(From, Settings) of
        true ->
            case acl:match_rule(Host, Access, jid:remove_resource(From)) of
                allow -> none;
                deny -> 'not-allowed'
            end;
        false ->
            'no-account'
    end.

may_log_in(#jid{luser = User, lserver = Host}, #{bans := Bans}) ->
    ejabberd_auth:user_exists(User, Host) andalso not is_banned(User, Host, Bans).

is_banned(_User, _Host, none) -> false;
is_banned(User, Host, {Module, Function}) -> Module:Function(User, Host) /= [].

is_connected(#jid{luser = User, lserver = Host, lresource = Resource}) ->
    ejabberd_sm:get_session_pid(User, Host, Resource) /= none.

%% XEP-0356: a component that may send these can speak as anybody.
-spec holds_privilege(stanza()) -> boolean().
holds_privilege(Pkt) ->
    lists:any(fun(El) ->
                      case xmpp:get_ns(El) of
                          <<"urn:xmpp:privilege:", _/binary>> -> true;
                          _ -> false
                      end
              end, xmpp:get_els(Pkt)).

-spec is_deep(stanza()) -> boolean().
is_deep(Pkt) ->
    is_deep(xmpp:get_els(Pkt), ?MAX_DEPTH).

is_deep([], _) -> false;
is_deep(_, 0) -> true;
is_deep([#xmlel{children = Els} | Rest], N) -> is_deep(Els, N - 1) orelse is_deep(Rest, N);
is_deep([{xmlcdata, _} | Rest], N) -> is_deep(Rest, N);
%% With validate_stream they have been decoded.
is_deep([El | Rest], N) -> is_deep([xmpp:encode(El) | Rest], N).

%%% What the component is told

refusal('foreign-domain') -> <<"The sender's domain is not a VirtualHost of this server">>;
refusal('no-account') -> <<"The sender has no account on this server">>;
refusal('not-allowed') -> <<"This server does not let the gateway speak for the sender">>;
refusal('resource-in-use') -> <<"A client of the sender is connected with this resource">>;
refusal('privileged-payload') -> <<"A user cannot send privileged payloads">>.

-spec reply_error(stanza(), stanza_error(), stream()) -> {stop, {drop, stream()}}.
reply_error(Pkt, Err, #{remote_server := Component} = Stream) ->
    tell(strip(Pkt), Err#stanza_error{by = jid:make(Component)}),
    {stop, {drop, Stream}}.

-spec tell(stanza(), stanza_error()) -> ok.
tell(Pkt, Err) ->
    case xmpp:get_type(Pkt) of
        Type when Type == error; Type == result -> % RFC 6120 §8.3.1, §8.2.3
            ok;
        _ ->
            send_back(xmpp:make_error(Pkt, Err))
    end.

%% By way of the mailbox, where the bounces of earlier stanzas may be waiting.
-spec send_back(stanza()) -> ok.
send_back(Pkt) ->
    self() ! {route, Pkt},
    ok.

strip(#message{} = Msg) -> Msg#message{subject = [], body = [], thread = undefined, sub_els = []};
strip(Pkt) -> xmpp:set_els(Pkt, []).

text(Text) -> [#text{data = Text}].

%%% Speaking

%% As ejabberd_c2s:handle_authenticated_packet/2 does it.
-spec speak(message(), jid(), stream()) -> ok.
speak(Msg0, From0, #{lang := Lang} = Stream) ->
    #jid{luser = User, lserver = Host, lresource = Resource} = From0,
    From = From0#jid{user = User, server = Host, resource = Resource},
    Msg = add_language(xmpp:set_from(Msg0, From), Stream),
    %% As much of a client's state as the modules on the way look at.
    Client = #{jid => From, user => User, server => Host, lserver => Host, resource => Resource,
               lang => Lang, ip => maps:get(ip, Stream, undefined)},
    case ejabberd_hooks:run_fold(user_send_packet, Host, {Msg, Client}, []) of
        {drop, _} -> ok;
        {Msg2, Client2} -> send(Msg2, Client2)
    end.

%% ejabberd does it to what its clients send (RFC 6120 §8.1.5).
-spec add_language(stanza(), stream()) -> stanza().
add_language(#message{lang = <<>>} = Msg, #{lang := Lang}) -> Msg#message{lang = Lang};
add_language(Pkt, _Stream) -> Pkt.

send(Msg, #{lserver := Host, lang := Lang} = Client) ->
    case ejabberd_hooks:run_fold(privacy_check_packet, Host, allow, [Client, Msg, out]) of
        allow ->
            route(Msg, xmpp:get_to(Msg));
        deny ->
            Text = <<"Your active privacy list has denied the routing of this stanza.">>,
            tell(Msg, xmpp:err_not_acceptable(Text, Lang))
    end.

%% Some stanzas are refused in another process of this server. Its answer has to be here before the
%% next stanza of the stream is processed.
-spec route(message(), jid()) -> ok.
route(Msg, #jid{luser = User, lserver = Domain, lresource = Resource} = To) ->
    case host_of_route(Domain) of
        Domain when User /= <<>> ->
            route_to_user(Msg, To);
        Domain ->
            ejabberd_router:route(Msg),
            await_announcer(Domain, Resource);
        Host when User /= <<>>, Host /= none ->
            case is_room_service(Host, Domain) of
                true -> route_to_room(Msg, Host, To);
                false -> ejabberd_router:route(Msg)
            end;
        _ ->
            ejabberd_router:route(Msg)
    end.

host_of_route(Domain) ->
    case lists:member(Domain, ejabberd_option:hosts()) of
        true ->
            Domain;
        false ->
            try
                ejabberd_router:host_of_route(Domain)
            catch
                error:{unregistered_route, _} -> none
            end
    end.

%% The blocklist of a user who is online is checked in the process of the client, as it is here.
route_to_user(#message{type = Type} = Msg, #jid{lserver = Host} = To) when Type == chat; Type == normal ->
    case ejabberd_hooks:run_fold(privacy_check_packet, Host, allow, [To, Msg, in]) of
        allow ->
            ejabberd_router:route(Msg);
        deny ->
            %% A room must not be told that one of its members blocks another.
            xmpp:has_subtag(Msg, #muc_user{}) orelse
                ejabberd_router:route_error(Msg, xmpp:err_service_unavailable()),
            ok
    end;
route_to_user(Msg, _To) ->
    ejabberd_router:route(Msg).

await_announcer(Host, <<"announce/", _/binary>>) ->
    case gen_mod:is_loaded(Host, mod_announce) of
        true -> await(gen_mod:get_module_proc(Host, mod_announce));
        false -> ok
    end;
await_announcer(_Host, _Resource) ->
    ok.

is_room_service(Host, Domain) ->
    gen_mod:is_loaded(Host, mod_muc) andalso
        lists:member(Domain, gen_mod:get_module_opt_hosts(Host, mod_muc)).

%% A room that is not there is looked for, loaded or refused by a worker, which hands the message to it.
route_to_room(Msg, Host, #jid{luser = Name, lserver = Domain} = To) ->
    Room = mod_muc:find_online_room(Name, Domain),
    ejabberd_router:route(Msg),
    await_room(Room, To),
    case mod_muc:find_online_room(Name, Domain) of
        Room when Room /= error ->
            ok;
        _ ->
            await(mod_muc:procname(Host, {Name, Domain})),
            await_room(mod_muc:find_online_room(Name, Domain), To)
    end.

%% With a question that changes nothing. mod_muc_room:is_subscribed/2 asks it too, but takes no answer
%% within 5 seconds, or the end of the room, for a `false`.
await_room({ok, Room}, To) ->
    try p1_fsm:sync_send_all_state_event(Room, {is_subscribed, To}, ?WAIT_MS) of
        _ -> ok
    catch
        exit:{Reason, _} when Reason == noproc; Reason == normal -> ok
    end;
await_room(error, _To) ->
    ok.

%% Waits until a process has dealt with everything that it was sent before.
await(Process) ->
    _ = sys:get_state(Process, ?WAIT_MS),
    ok.

%%% What comes back

-spec remember(binary(), stream()) -> stream().
remember(Resource, Stream) ->
    case ets:lookup(message_gateway_speaker, Resource) of
        [#message_gateway_speaker{stream = Pid}] when Pid == self() -> Stream;
        _ -> remember_new(Resource, Stream)
    end.

remember_new(Resource, Stream) ->
    Own = maps:get(message_gateway, Stream, #{}),
    Others = lists:delete(Resource, maps:get(resources, Own, [])),
    Others == [] andalso forget_dead_streams(),
    {Kept, Oldest} = lists:split(min(length(Others), ?MAX_RESOURCES - 1), Others),
    lists:foreach(fun(Old) -> forget(Old, self()) end, Oldest),
    %% On all nodes before anything can come back from one.
    Speaker = #message_gateway_speaker{resource = Resource, stream = self()},
    ok = mnesia:sync_dirty(fun() -> mnesia:write(Speaker) end),
    Stream#{message_gateway => Own#{resources => [Resource | Kept]}}.

forget(Resource, Pid) ->
    mnesia:dirty_delete_object(#message_gateway_speaker{resource = Resource, stream = Pid}).

%% Entries of streams that were killed, and of nodes that are gone.
-spec forget_dead_streams() -> ok.
forget_dead_streams() ->
    All = mnesia:dirty_match_object(#message_gateway_speaker{resource = '_', stream = '_'}),
    lists:foreach(fun(#message_gateway_speaker{resource = Resource, stream = Pid}) ->
                          is_alive(Pid) orelse forget(Resource, Pid)
                  end, All).

is_alive(Pid) when node(Pid) == node() -> is_process_alive(Pid);
is_alive(Pid) -> lists:member(node(Pid), nodes()).

%% In the stream's process.
-spec component_disconnected(binary(), term()) -> ok.
component_disconnected(_Component, _Reason) ->
    Own = mnesia:dirty_match_object(#message_gateway_speaker{resource = '_', stream = self()}),
    lists:foreach(fun mnesia:dirty_delete_object/1, Own).

%% Answers in chat go on to the user's clients (RFC 6121 §8.5.3.2.1), but a receipt is for the client
%% that has asked for it (XEP-0184 §5.4). One with a text is also an answer in chat.
-spec sm_receive_packet(stanza() | drop) -> stanza() | drop.
sm_receive_packet(#message{type = Type} = Msg) when Type == error; Type == groupchat ->
    hand_back(Msg);
sm_receive_packet(#message{type = Type, body = []} = Msg) when Type == chat; Type == normal ->
    case xmpp:has_subtag(Msg, #receipt_response{}) of
        true -> hand_back(Msg);
        false -> Msg
    end;
sm_receive_packet(#presence{type = Type} = Presence)
  when Type == available; Type == unavailable; Type == error ->
    hand_back(Presence);
sm_receive_packet(#iq{type = Type} = IQ) when Type == result; Type == error ->
    hand_back(IQ);
sm_receive_packet(Acc) ->
    Acc.

hand_back(Pkt) ->
    #jid{lserver = Host, lresource = Resource} = To = xmpp:get_to(Pkt),
    case ets:lookup(message_gateway_speaker, Resource) of
        [#message_gateway_speaker{stream = Pid}] ->
            case is_connected(To) orelse
                ejabberd_hooks:run_fold(privacy_check_packet, Host, allow, [To, Pkt, in]) of
                true -> Pkt;
                deny -> drop;
                allow -> hand_to(Pid, Pkt)
            end;
        [] ->
            Pkt
    end.

hand_to(Pid, Pkt) ->
    case ejabberd_cluster:send(Pid, {route, Pkt}) of
        true ->
            take_note(Pkt),
            drop;
        false ->
            Pkt
    end.

%% In the process of a client, the receipt reaches the user's archive and other clients.
-spec take_note(stanza()) -> ok.
take_note(#message{type = Type, to = To} = Msg) when Type == chat; Type == normal ->
    #jid{user = User, server = Server, lserver = Host, resource = Resource} = To,
    % mod_block_strangers looks for contacts in pres_a.
    Client = #{jid => To, user => User, server => Server, lserver => Host, resource => Resource,
               pres_a => gb_sets:new()},
    {Noted, _} = ejabberd_hooks:run_fold(user_receive_packet, Host, {Msg, Client}, []),
    copy_to_first(Noted, To);
take_note(_Pkt) ->
    ok.

%% mod_carboncopy thinks that a message for a resource that is not connected goes to the clients of the
%% highest priority, and leaves just these out (XEP-0280 §7: it goes to all but the addressee).
copy_to_first(drop, _To) ->
    ok;
copy_to_first(#message{type = Type} = Msg, #jid{luser = User, lserver = Host}) ->
    Present = ejabberd_sm:get_user_present_resources(User, Host),
    MayCopy = gen_mod:is_loaded(Host, mod_carboncopy) andalso
        not xmpp:has_subtag(Msg, #muc_user{}) andalso
        not xmpp:has_subtag(Msg, #carbons_private{}) andalso
        not xmpp:has_subtag(Msg, #hint{type = 'no-copy'}),
    Copying = case MayCopy of
                  true -> [Resource || {Resource, _} <- mod_carboncopy:list(User, Host)];
                  false -> []
              end,
    Account = jid:make(User, Host),
    Received = #carbons_received{forwarded = #forwarded{sub_els = [Msg]}},
    lists:foreach(fun(Resource) ->
                          ejabberd_router:route(
                            #message{type = Type, from = Account, to = jid:make(User, Host, Resource),
                                     sub_els = [Received], meta = #{carbon_copy => true}})
                  end,
                  [Resource || {Priority, Resource} <- Present, lists:member(Resource, Copying),
                               Priority == element(1, lists:max(Present))]).

%%% When ejabberd stops

%% Its next step, ejabberd_sm:host_down/1, takes away the hooks by which the process of a client
%% writes the messages in its mailbox, or returns them. So what the gateway has been answered for has
%% to be written before, and no question is answered any more: the gateway then does not know what
%% became of its messages, and says so.
-spec ejabberd_stopping() -> ok.
ejabberd_stopping() ->
    Hosts = [Host || Host <- ejabberd_option:hosts(), gen_mod:is_loaded(Host, ?MODULE)],
    lists:foreach(fun(Host) -> persistent_term:put({?MODULE, generation, Host}, stopping) end, Hosts),
    settle_clients(Hosts, erlang:monotonic_time(millisecond) + ?STOPPING_MS).

%% The process of a client that ends meanwhile routes its messages again, perhaps to another client.
-spec settle_clients([binary()], integer()) -> ok.
settle_clients(Hosts, Deadline) ->
    Requests = [gen_server:send_request(Client, ?MODULE) || Client <- find_clients(Hosts)],
    Answers = [gen_server:receive_response(Request, {abs, Deadline}) || Request <- Requests],
    case {lists:member(timeout, Answers), lists:keymember(error, 1, Answers)} of
        {true, _} ->
            ?WARNING_MSG("Some clients have not taken their messages within ~B ms", [?STOPPING_MS]);
        {false, true} ->
            settle_clients(Hosts, Deadline);
        {false, false} ->
            ok
    end.

%% Those of this node.
-spec find_clients([binary()]) -> [pid()].
find_clients(Hosts) ->
    [Client || Host <- Hosts,
               {User, _, Resource} <- ejabberd_sm:get_vh_session_list(Host),
               Client <- [ejabberd_sm:get_session_pid(User, Host, Resource)],
               is_pid(Client), node(Client) == node()].

%% In the process of the client, when it has dealt with all that it was sent before.
-spec c2s_handle_call(ejabberd_c2s:state(), term(), term()) ->
          ejabberd_c2s:state() | {stop, ejabberd_c2s:state()}.
c2s_handle_call(State, ?MODULE, From) ->
    ejabberd_c2s:reply(From, ok),
    {stop, State};
c2s_handle_call(State, _Call, _From) ->
    State.
