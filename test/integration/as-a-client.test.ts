import { expect, test } from 'vitest';
import { summarizeComparison } from '../support/checks/comparison.ts';
import {
  compareGateway,
  gatewayComparisons,
  notCompared,
} from '../support/checks/gateway-comparisons.ts';

// Each comparison starts its own servers.
test.each(gatewayComparisons)(
  'what everybody sees of messages over HTTP and of those of a client: $mode on $kind',
  async (comparison) => {
    const result = await compareGateway(comparison);
    const { mode, kind, floor } = comparison;
    console.log(`${mode} on ${kind}: ${summarizeComparison(result)}\n${notCompared}`);
    expect(result.unrefused).toEqual([]);
    expect(result.all).toBeGreaterThan(130);
    expect(result.equal / result.all).toBeGreaterThanOrEqual(floor);
  },
);
