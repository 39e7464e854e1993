import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // More than the cores: most of them wait for servers.
    maxWorkers: 3,
    // Loading the modules anew for each file would take more time than most of its tests.
    isolate: false,
    // They end what hangs: a busy machine is ten times slower than a quiet one.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    coverage: { include: ['src/**'], reporter: ['text-summary', 'text'] },
  },
});
