import type { FormValues } from '../../../docs-page/message-request.ts';

/** A form in which everything is filled in that has to be. */
export const complete: FormValues = {
  account: 'user',
  login: 'bot',
  password: 'pw',
  domain: 'example.org',
  sender: 'alice',
  to: 'bob@example.org',
  body: 'Hi',
  subject: '',
  type: '',
  id: '',
  extra: '',
  key: '',
};

/** A form in which nothing is filled in. */
export const empty: FormValues = {
  ...complete,
  login: '',
  password: '',
  domain: '',
  sender: '',
  to: '',
  body: '',
};
