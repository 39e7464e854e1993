import { expect, test } from 'vitest';
import { createDialSlots } from '../../../../src/xmpp/sasl/slots.ts';

function createTask() {
  const controller = new AbortController();
  const task = {
    started: false,
    finish: () => controller.abort(),
    run: () => {
      task.started = true;
      return new Promise<void>((resolve) => {
        if (controller.signal.aborted) resolve();
        controller.signal.addEventListener('abort', () => resolve());
      });
    },
  };
  return task;
}

const { signal } = new AbortController();
const turn = () => new Promise((resolve) => setImmediate(resolve));

test('runs so many at once, the others in order', async () => {
  const slots = createDialSlots(2, 10);
  const tasks = [1, 2, 3, 4].map(createTask);
  const runs = tasks.map(({ run }) => slots.run(run, signal));
  await turn();
  expect(tasks.map(({ started }) => started)).toEqual([true, true, false, false]);
  tasks[1]?.finish();
  await turn();
  expect(tasks.map(({ started }) => started)).toEqual([true, true, true, false]);
  for (const { finish } of tasks) finish();
  await Promise.all(runs);
  expect(tasks.every(({ started }) => started)).toBe(true);
});

test('a task that fails frees its slot and tells its failure', async () => {
  const slots = createDialSlots(1, 10);
  const failed = slots.run(() => Promise.reject(new Error('no')), signal);
  const next = slots.run(async () => 'yes', signal);
  await expect(failed).rejects.toThrow('no');
  expect(await next).toBe('yes');
});

test('refuses when too many wait', async () => {
  const slots = createDialSlots(1, 1);
  const [running, waiting, refused] = [createTask(), createTask(), createTask()];
  const runs = [slots.run(running.run, signal), slots.run(waiting.run, signal)];
  await expect(slots.run(refused.run, signal)).rejects.toMatchObject({
    code: 'authentication-unavailable',
  });
  running.finish();
  waiting.finish();
  await Promise.all(runs);
  expect(refused.started).toBe(false);
  expect(await slots.run(async () => 1, signal)).toBe(1);
});

test('who gives up leaves the queue, and takes no slot with it', async () => {
  const slots = createDialSlots(1, 1);
  const [running, leaving] = [createTask(), createTask()];
  const controller = new AbortController();
  const first = slots.run(running.run, signal);
  const second = slots.run(leaving.run, controller.signal);
  await turn();
  controller.abort(new Error('deadline'));
  await expect(second).rejects.toThrow('deadline');
  const third = slots.run(async () => 3, signal);
  running.finish();
  await first;
  expect(await third).toBe(3);
  expect(leaving.started).toBe(false);
});
