%%% Accounts that cannot be looked up: each attempt fails.
-module(ejabberd_auth_faulty).
-behaviour(ejabberd_auth).

-export([start/1, stop/1, store_type/1, use_cache/1, plain_password_required/1, check_password/4,
         user_exists/2]).

start(_Host) -> ok.
stop(_Host) -> ok.
store_type(_Host) -> external.
use_cache(_Host) -> false.
plain_password_required(_Host) -> true.
check_password(_User, _AuthzId, _Host, _Password) -> {nocache, false}.
user_exists(_User, _Host) -> error(a_fault).
